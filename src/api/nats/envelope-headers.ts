/** Headers of NATS messages and what they are in the envelope of a message. docs/nats.md has the table. */
import { headers as newHeaders, type MsgHdrs } from "@nats-io/transport-node";
import { type CaxtonError, ensureError, ERRORS } from "../../base/errors.ts";
import { type Message, OutgoingMessage } from "../../gen/caxton/v1/message.ts";
import { refusal } from "../service/validate.ts";

export const ERROR_TO_HEADER = "Caxton-Error-To";
export const TIMEOUT_HEADER = "Caxton-Timeout-Ms";
export const ERROR_CODE_HEADER = "Caxton-Error-Code";
export const MESSAGE_ID_HEADER = "Nats-Msg-Id";

type TextField =
  | "performative"
  | "conversationId"
  | "replyWith"
  | "inReplyTo"
  | "ontology"
  | "language"
  | "protocol"
  | "contentType";

/** Taken and given. Everything else that begins with Caxton- or Nats- is no part of a message. */
const FIELDS: readonly (readonly [header: string, field: TextField])[] = [
  ["Caxton-Performative", "performative"],
  ["Caxton-Conversation-Id", "conversationId"],
  ["Caxton-Reply-With", "replyWith"],
  ["Caxton-In-Reply-To", "inReplyTo"],
  ["Caxton-Ontology", "ontology"],
  ["Caxton-Language", "language"],
  ["Caxton-Protocol", "protocol"],
  ["Content-Type", "contentType"],
];

const FIELD_OF = new Map(FIELDS.map(([header, field]) => [header.toLowerCase(), field]));
const CLOSED = /^(caxton|nats)-/;

export interface Incoming {
  readonly receiver: string;
  /** Who is known to have sent it; no header says that. */
  readonly client: string;
  readonly content: Uint8Array;
  readonly headers: MsgHdrs | undefined;
}

/** `id`: where the client chose none. */
export function messageOf({ receiver, client, content, headers }: Incoming, id = "") {
  const message = OutgoingMessage.create({ receiver, client, content, id });
  if (headers === undefined) return message;
  for (const [name, values] of headers) {
    const value = values.at(-1) ?? "";
    const key = name.toLowerCase();
    const field = FIELD_OF.get(key);
    if (field !== undefined) message[field] = value;
    else if (key === "nats-msg-id") message.id = value;
    else if (!CLOSED.test(key)) message.headers[key] = value;
  }
  return message;
}

/** Throws INVALID_ARGUMENT where a client wrote what is no header: decoding them throws. */
export function headersIn(message: {
  readonly headers?: MsgHdrs | undefined;
}): MsgHdrs | undefined {
  try {
    return message.headers;
  } catch (error) {
    throw refusal({ at: "headers", message: `are malformed: ${ensureError(error).message}` });
  }
}

/** Header names may differ in case between clients. */
export function headerOf(headers: MsgHdrs | undefined, name: string): string | undefined {
  if (headers === undefined) return undefined;
  const exact = headers.get(name);
  if (exact !== "") return exact;
  const other = headers.keys().find((key) => key.toLowerCase() === name.toLowerCase());
  return other === undefined ? undefined : headers.get(other);
}

/** The headers of a reply. */
export function headersOf(message: Message): MsgHdrs {
  const headers = newHeaders();
  for (const [key, value] of Object.entries(message.headers)) {
    if (isHeaderName(key) && !CLOSED.test(key.toLowerCase())) headers.set(key, oneLine(value));
  }
  for (const [header, field] of FIELDS) {
    if (message[field] !== "") headers.set(header, oneLine(message[field]));
  }
  headers.set("Caxton-Message-Id", oneLine(message.id));
  headers.set("Caxton-Sender", oneLine(message.sender));
  return headers;
}

export interface ErrorAnswer {
  readonly headers: MsgHdrs;
  readonly body: string;
}

export function errorAnswer(
  error: CaxtonError,
  facts: { readonly subject: string; readonly id: string },
): ErrorAnswer {
  const { hint, retryable } = ERRORS[error.code];
  const headers = newHeaders();
  headers.set(ERROR_CODE_HEADER, error.code);
  headers.set("Content-Type", "application/json");
  const { code, message, findings, retryAfterMs } = error;
  const more = { ...(findings.length === 0 ? {} : { findings }), retryAfterMs };
  const body = JSON.stringify({ code, message, hint, retryable, ...facts, ...more });
  return { headers, body };
}

function isHeaderName(key: string): boolean {
  return /^[\x21-\x39\x3b-\x7e]+$/.test(key);
}

/** A header ends with its line. */
export function oneLine(text: string): string {
  return text.replace(/[\r\n\0]+/g, " ").trim();
}
