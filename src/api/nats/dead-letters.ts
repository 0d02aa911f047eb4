/** Messages that were kept by a stream and then refused: where they go, and who is told. */
import type { JetStreamClient, JsMsg } from "@nats-io/jetstream";
import { headers as newHeaders, type MsgHdrs, type NatsConnection } from "@nats-io/transport-node";
import { type CaxtonError, type ErrorCode, ERRORS } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { DEAD_LETTER_SUBJECT, isClientSubject } from "../../base/nats-subjects.ts";
import {
  ERROR_CODE_HEADER,
  ERROR_TO_HEADER,
  errorAnswer,
  headerOf,
  MESSAGE_ID_HEADER,
  oneLine,
} from "./envelope-headers.ts";

export interface DeadLetterPorts {
  readonly connection: NatsConnection;
  readonly jetstream: JetStreamClient;
  readonly log: Logger;
}

export interface Refused {
  readonly sent: JsMsg;
  readonly headers: MsgHdrs | undefined;
  /** What the client published to. */
  readonly subject: string;
  readonly id: string;
  readonly error: CaxtonError;
}

/** What a dead letter's headers take beside those of its message. */
const HEADER_BYTES_MAX = 8192;

export class DeadLetters {
  private readonly ports: DeadLetterPorts;

  constructor(ports: DeadLetterPorts) {
    this.ports = ports;
  }

  /** Resolves when the dead letter is kept. */
  async add(refused: Refused): Promise<void> {
    await this.bury(refused);
    this.tell(refused);
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
}

/** The message is at fault, and will be the next time. */
export function isRefusal(code: ErrorCode): boolean {
  const { grpc, retryable } = ERRORS[code];
  return !retryable && (grpc === "INVALID_ARGUMENT" || grpc === "NOT_FOUND");
}
