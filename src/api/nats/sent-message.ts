/**
 * Messages of streams: into the kernel, or to the dead letters.
 *
 * 1. A message is settled when its acceptance, or its dead letter, is durable. Nothing is thrown.
 */
import type { JetStreamClient, JsMsg } from "@nats-io/jetstream";
import { headers as newHeaders, type MsgHdrs, type NatsConnection } from "@nats-io/transport-node";
import { asCaxtonError, type CaxtonError, type ErrorCode, ERRORS } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { DEAD_LETTER_SUBJECT, isClientSubject } from "../../base/nats-subjects.ts";
import { Seldom } from "../../base/seldom.ts";
import type { SendMessageRequest } from "../../gen/caxton/v1/message.ts";
import type { CallInfo } from "../request.ts";
import {
  ERROR_CODE_HEADER,
  ERROR_TO_HEADER,
  errorAnswer,
  headerOf,
  headersIn,
  MESSAGE_ID_HEADER,
  messageOf,
  oneLine,
} from "./envelope-headers.ts";
import type { SendOutcome } from "./send-lanes.ts";

export interface SentMessagePorts {
  readonly connection: NatsConnection;
  readonly jetstream: JetStreamClient;
  readonly log: Logger;
  /** The name of whoever sends by NATS. */
  readonly client: string;
  sendMessage(request: SendMessageRequest, call: CallInfo): Promise<unknown>;
}

/** Where a message goes, and what it is called there. */
export interface Destination {
  readonly receiver: string;
  /** What the client published to. */
  readonly subject: string;
  /** The same at every delivery. */
  readonly id: string;
  /** Goes before an id that the client chose: the message may go to several. */
  readonly ownId?: boolean;
  /** Given to the receiver with those of the message. */
  readonly headers?: Readonly<Record<string, string>>;
}

interface Refused {
  readonly sent: JsMsg;
  readonly headers: MsgHdrs | undefined;
  readonly subject: string;
  readonly id: string;
  readonly error: CaxtonError;
}

const WARN_EVERY_MS = 10_000;
const CALL: CallInfo = { traceparent: undefined, remainingMs: Infinity };
/** What a dead letter's headers take beside those of its message. */
const HEADER_BYTES_MAX = 8192;

export class SentMessages {
  private readonly ports: SentMessagePorts;
  private readonly warnings = new Seldom(WARN_EVERY_MS);

  constructor(ports: SentMessagePorts) {
    this.ports = ports;
  }

  async send(sent: JsMsg, destination: Destination): Promise<SendOutcome> {
    const { receiver, subject, id: ownId } = destination;
    let headers: MsgHdrs | undefined;
    let id = ownId;
    try {
      headers = headersIn(sent);
      const { client } = this.ports;
      const message = messageOf({ receiver, client, content: sent.data, headers }, ownId);
      if (destination.ownId === true) message.id = ownId;
      Object.assign(message.headers, destination.headers);
      ({ id } = message);
      await this.ports.sendMessage({ message }, CALL);
      return "settled";
    } catch (thrown) {
      return this.failed({ sent, headers, subject, id, error: asCaxtonError(thrown) });
    }
  }

  private async failed(refused: Refused): Promise<SendOutcome> {
    const { error } = refused;
    if (!isRefusal(error.code)) {
      this.warn(error);
      return "later";
    }
    try {
      await this.bury(refused);
      this.tell(refused);
      return "settled";
    } catch (thrown) {
      this.warn(asCaxtonError(thrown));
      return "later";
    }
  }

  /** The message as it was, and why it was refused. */
  private async bury({ sent, headers: given, subject, id, error }: Refused): Promise<void> {
    const { connection, jetstream, log } = this.ports;
    const headers = newHeaders();
    let bytes = sent.data.length + HEADER_BYTES_MAX;
    for (const [name, values] of given ?? []) {
      const value = values.at(-1) ?? "";
      if (!name.startsWith("Nats-")) headers.set(name, value);
      bytes += name.length + Buffer.byteLength(value);
    }
    headers.set(ERROR_CODE_HEADER, error.code);
    headers.set("Caxton-Error", oneLine(error.message).slice(0, 1000));
    headers.set("Caxton-Subject", subject);
    headers.set(MESSAGE_ID_HEADER, oneLine(id));
    log.warn({ subject, id, code: error.code, reason: error.message }, "dead letter");
    const fits = bytes <= (connection.info?.max_payload ?? Infinity);
    if (!fits) headers.set("Caxton-Content-Bytes", String(sent.data.length));
    await jetstream.publish(DEAD_LETTER_SUBJECT, fits ? sent.data : "", { headers });
  }

  private tell({ headers: given, subject, id, error }: Refused): void {
    const to = headerOf(given, ERROR_TO_HEADER);
    if (to === undefined) return;
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
