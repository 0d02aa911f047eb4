/** One message of the send stream: into the kernel, or to the dead letters. */
import type { JetStreamClient, JsMsg } from "@nats-io/jetstream";
import { headers as newHeaders, type NatsConnection } from "@nats-io/transport-node";
import { asCaxtonError, type CaxtonError, type ErrorCode, ERRORS } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { Seldom } from "../../base/seldom.ts";
import type { OutgoingMessage, SendMessageRequest } from "../../gen/caxton/v1/message.ts";
import type { CallInfo } from "../request.ts";
import {
  ERROR_CODE_HEADER,
  ERROR_TO_HEADER,
  errorAnswer,
  headerOf,
  MESSAGE_ID_HEADER,
  messageOf,
  oneLine,
} from "./envelope-headers.ts";
import type { SendOutcome } from "./send-lanes.ts";
import { addressOf, DEAD_LETTER_SUBJECT, isClientSubject, sendSubjectOf } from "./subjects.ts";

export interface SentMessagePorts {
  readonly connection: NatsConnection;
  readonly jetstream: JetStreamClient;
  readonly log: Logger;
  /** The name of whoever sends by NATS. */
  readonly client: string;
  /** Tells the stream from another one of the same name. */
  readonly streamIncarnation: string;
  sendMessage(request: SendMessageRequest, call: CallInfo): Promise<unknown>;
}

const WARN_EVERY_MS = 10_000;

export class SentMessages {
  private readonly ports: SentMessagePorts;
  private readonly warnings = new Seldom(WARN_EVERY_MS);

  constructor(ports: SentMessagePorts) {
    this.ports = ports;
  }

  async send(sent: JsMsg): Promise<SendOutcome> {
    const message = messageOf(
      {
        receiver: addressOf(sent.subject),
        client: this.ports.client,
        content: sent.data,
        headers: sent.headers,
      },
      // The same at every delivery.
      `nats-${this.ports.streamIncarnation}-${sent.seq}`,
    );
    try {
      await this.ports.sendMessage({ message }, { traceparent: undefined, remainingMs: Infinity });
      return "settled";
    } catch (thrown) {
      return this.failed(sent, message, asCaxtonError(thrown));
    }
  }

  private async failed(
    sent: JsMsg,
    message: OutgoingMessage,
    error: CaxtonError,
  ): Promise<SendOutcome> {
    if (!isRefusal(error.code)) {
      this.warn(error);
      return "later";
    }
    try {
      await this.bury(sent, message, error);
      this.tell(sent, message, error);
      return "settled";
    } catch (thrown) {
      this.warn(asCaxtonError(thrown));
      return "later";
    }
  }

  /** The message as it was, and why it was refused. */
  private async bury(sent: JsMsg, { id }: OutgoingMessage, error: CaxtonError): Promise<void> {
    const subject = sendSubjectOf(sent.subject);
    const headers = newHeaders();
    for (const [name, values] of sent.headers ?? []) {
      if (!name.startsWith("Nats-")) headers.set(name, values.at(-1) ?? "");
    }
    headers.set(ERROR_CODE_HEADER, error.code);
    headers.set("Caxton-Error", oneLine(error.message).slice(0, 1000));
    headers.set("Caxton-Subject", subject);
    headers.set(MESSAGE_ID_HEADER, id);
    this.ports.log.warn({ subject, id, code: error.code, reason: error.message }, "dead letter");
    await this.ports.jetstream.publish(DEAD_LETTER_SUBJECT, sent.data, { headers });
  }

  private tell(sent: JsMsg, { id }: OutgoingMessage, error: CaxtonError): void {
    const to = headerOf(sent.headers, ERROR_TO_HEADER);
    if (to === undefined) return;
    const subject = sendSubjectOf(sent.subject);
    if (!isClientSubject(to)) {
      this.ports.log.warn({ subject, id, to }, "no error is published there");
      return;
    }
    const { body, headers } = errorAnswer(error, { subject, id });
    this.ports.connection.publish(to, body, { headers });
  }

  private warn(error: CaxtonError): void {
    if (!this.warnings.isDue(performance.now())) return;
    const { code, message: reason, cause } = error;
    this.ports.log.warn({ code, reason, cause }, "NATS messages wait: they can't be accepted now");
  }
}

/** The message is at fault, and will be the next time. */
function isRefusal(code: ErrorCode): boolean {
  const { grpc, retryable } = ERRORS[code];
  return !retryable && (grpc === "INVALID_ARGUMENT" || grpc === "NOT_FOUND");
}
