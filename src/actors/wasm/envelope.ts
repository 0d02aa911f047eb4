/**
 * The flat form of a message, the same in the log, between partitions and in an agent's memory, so that
 * no hop re-encodes it. docs/agent-abi.md is the reference.
 */
import { CaxtonError } from "../../base/errors.ts";
import type { Message } from "../kernel.ts";

export const ENVELOPE_HEADER_BYTES = 32;
export const DRAFT_HEADER_BYTES = 16;
export const MESSAGE_ID_BYTES_MAX = 128;

export const FLAG_WANTS_REPLY = 1;
export const FLAG_REPLY = 2;
export const FLAG_FAILURE = 4;
export const FLAG_TIMER = 8;
export const FLAG_CLIENT = 16;

/** Offsets of header fields. */
const AT_TOTAL = 0;
export const AT_FLAGS = 4;
export const AT_PERFORMATIVE = 6;
export const AT_CONTENT_TYPE = 7;
export const AT_ID_BYTES = 8;
const AT_SENDER_BYTES = 10;
export const AT_RECEIVER_BYTES = 12;
export const AT_EXTENSION_BYTES = 16;
export const AT_CONTENT_BYTES = 20;
export const AT_CORRELATION = 24;

export const PERFORMATIVES = [
  "inform",
  "request",
  "query-if",
  "query-ref",
  "cfp",
  "propose",
  "accept-proposal",
  "reject-proposal",
  "agree",
  "refuse",
  "failure",
  "not-understood",
  "subscribe",
  "cancel",
  "confirm",
  "disconfirm",
  "inform-if",
  "inform-ref",
  "propagate",
  "proxy",
  "request-when",
  "request-whenever",
] as const;
export const CONTENT_TYPES = [
  "application/octet-stream",
  "application/json",
  "text/plain",
] as const;
/** Code of a performative or content type that is written out in an extension. */
export const OTHER = 255;

export const TAG_CONVERSATION_ID = 1;
export const TAG_REPLY_WITH = 2;
export const TAG_IN_REPLY_TO = 3;
export const TAG_REPLY_BY = 4;
export const TAG_ONTOLOGY = 5;
export const TAG_LANGUAGE = 6;
export const TAG_PROTOCOL = 7;
export const TAG_PERFORMATIVE = 8;
export const TAG_CONTENT_TYPE = 9;
export const TAG_HEADER = 10;
export const TAG_CHAIN = 11;
export const TAG_ERROR_CODE = 12;

const NO_BYTES = new Uint8Array(0);
const utf8 = new TextEncoder();
const utf8Decoder = new TextDecoder();

export interface EnvelopeFields {
  readonly flags: number;
  readonly id: string;
  readonly sender: string;
  readonly receiver: string;
  readonly performative?: string | undefined;
  readonly contentType?: string | undefined;
  readonly content: Uint8Array;
  readonly correlation?: bigint | undefined;
  readonly conversationId?: string | undefined;
  readonly replyWith?: string | undefined;
  readonly inReplyTo?: string | undefined;
  readonly ontology?: string | undefined;
  readonly language?: string | undefined;
  readonly protocol?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly errorCode?: string | undefined;
}

/** Encodes a message that starts outside an agent: from a client, a timer or the processor. */
export function encodeEnvelope(fields: EnvelopeFields): Buffer {
  const performative = codeOf(PERFORMATIVES, fields.performative ?? "inform");
  const contentType = codeOf(CONTENT_TYPES, fields.contentType ?? "application/octet-stream");
  const extensions = encodeExtensions(fields, performative, contentType);
  const idBytes = Buffer.byteLength(fields.id);
  const senderBytes = Buffer.byteLength(fields.sender);
  const receiverBytes = Buffer.byteLength(fields.receiver);
  const contentAt =
    ENVELOPE_HEADER_BYTES + idBytes + senderBytes + receiverBytes + extensions.length;
  const total = contentAt + fields.content.length;
  const bytes = Buffer.allocUnsafe(total);
  bytes.writeUInt32LE(total, AT_TOTAL);
  bytes.writeUInt16LE(fields.flags, AT_FLAGS);
  bytes.writeUInt8(performative, AT_PERFORMATIVE);
  bytes.writeUInt8(contentType, AT_CONTENT_TYPE);
  bytes.writeUInt16LE(idBytes, AT_ID_BYTES);
  bytes.writeUInt16LE(senderBytes, AT_SENDER_BYTES);
  bytes.writeUInt16LE(receiverBytes, AT_RECEIVER_BYTES);
  bytes.writeUInt16LE(0, AT_RECEIVER_BYTES + 2);
  bytes.writeUInt32LE(extensions.length, AT_EXTENSION_BYTES);
  bytes.writeUInt32LE(fields.content.length, AT_CONTENT_BYTES);
  bytes.writeBigUInt64LE(fields.correlation ?? 0n, AT_CORRELATION);
  let at = ENVELOPE_HEADER_BYTES;
  at += bytes.write(fields.id, at);
  at += bytes.write(fields.sender, at);
  at += bytes.write(fields.receiver, at);
  bytes.set(extensions, at);
  bytes.set(fields.content, contentAt);
  return bytes;
}

export function codeOf(table: readonly string[], value: string): number {
  const index = table.indexOf(value);
  return index < 0 ? OTHER : index;
}

function encodeExtensions(
  fields: EnvelopeFields,
  performative: number,
  contentType: number,
): Uint8Array {
  const parts: Uint8Array[] = [];
  const add = (tag: number, text: string | undefined): void => {
    if (text !== undefined) parts.push(extension(tag, utf8.encode(text)));
  };
  add(TAG_CONVERSATION_ID, fields.conversationId);
  add(TAG_REPLY_WITH, fields.replyWith);
  add(TAG_IN_REPLY_TO, fields.inReplyTo);
  add(TAG_ONTOLOGY, fields.ontology);
  add(TAG_LANGUAGE, fields.language);
  add(TAG_PROTOCOL, fields.protocol);
  add(TAG_PERFORMATIVE, performative === OTHER ? fields.performative : undefined);
  add(TAG_CONTENT_TYPE, contentType === OTHER ? fields.contentType : undefined);
  const { headers = {} } = fields;
  for (const key in headers) add(TAG_HEADER, `${key}\0${headers[key]!}`);
  add(TAG_ERROR_CODE, fields.errorCode);
  return parts.length === 0 ? NO_BYTES : Buffer.concat(parts);
}

export function extension(tag: number, value: Uint8Array): Buffer {
  if (value.length > 0xffff) {
    throw new CaxtonError("MESSAGE_TOO_LARGE", "An envelope field is longer than 65,535 bytes.");
  }
  const bytes = Buffer.allocUnsafe(4 + value.length);
  bytes.writeUInt8(tag, 0);
  bytes.writeUInt8(0, 1);
  bytes.writeUInt16LE(value.length, 2);
  bytes.set(value, 4);
  return bytes;
}

/** Where the parts of a flat message lie. */
export interface EnvelopeParts {
  readonly id: number;
  readonly sender: number;
  readonly receiver: number;
  readonly extensions: number;
  readonly content: number;
  readonly end: number;
}

export function envelopeParts(bytes: Buffer, offset: number): EnvelopeParts {
  const id = offset + ENVELOPE_HEADER_BYTES;
  const sender = id + bytes.readUInt16LE(offset + AT_ID_BYTES);
  const receiver = sender + bytes.readUInt16LE(offset + AT_SENDER_BYTES);
  const extensions = receiver + bytes.readUInt16LE(offset + AT_RECEIVER_BYTES);
  const content = extensions + bytes.readUInt32LE(offset + AT_EXTENSION_BYTES);
  const end = content + bytes.readUInt32LE(offset + AT_CONTENT_BYTES);
  return { id, sender, receiver, extensions, content, end };
}

export function envelopeFlags(bytes: Buffer, offset: number): number {
  return bytes.readUInt16LE(offset + AT_FLAGS);
}

/** Values of one extension tag. */
export function findExtension(
  bytes: Buffer,
  from: number,
  to: number,
  tag: number,
): Buffer | undefined {
  for (let at = from; at + 4 <= to;) {
    const length = bytes.readUInt16LE(at + 2);
    if (bytes[at] === tag) return bytes.subarray(at + 4, at + 4 + length);
    at += 4 + length;
  }
  return undefined;
}

/** True when extensions are well formed and hold only tags an agent may set. */
export function extensionsAreValid(bytes: Uint8Array, from: number, to: number): boolean {
  let at = from;
  let previous = 0;
  while (at < to) {
    if (at + 4 > to) return false;
    const tag = bytes[at]!;
    const length = bytes[at + 2]! | (bytes[at + 3]! << 8);
    if (tag === 0 || tag > TAG_HEADER || tag < previous) return false;
    if (tag === TAG_REPLY_BY && length !== 8) return false;
    previous = tag;
    at += 4 + length;
  }
  return at === to;
}

/** Decodes for people and APIs; copies the content. */
export function decodeMessage(bytes: Buffer, offset: number): Message {
  const parts = envelopeParts(bytes, offset);
  const text = (from: number, to: number): string => utf8Decoder.decode(bytes.subarray(from, to));
  const fields = new Map<number, string>();
  const headers: Record<string, string> = {};
  for (let at = parts.extensions; at + 4 <= parts.content;) {
    const tag = bytes[at]!;
    const value = bytes.subarray(at + 4, at + 4 + bytes.readUInt16LE(at + 2));
    if (tag === TAG_HEADER) {
      const cut = value.indexOf(0);
      headers[utf8Decoder.decode(value.subarray(0, cut))] = utf8Decoder.decode(
        value.subarray(cut + 1),
      );
    } else if (tag === TAG_REPLY_BY) {
      fields.set(tag, String(value.readBigUInt64LE(0)));
    } else if (tag !== TAG_CHAIN) {
      fields.set(tag, utf8Decoder.decode(value));
    }
    at += 4 + value.length;
  }
  const errorCode = fields.get(TAG_ERROR_CODE);
  if (errorCode !== undefined) headers["caxton-error-code"] = errorCode;
  const optional = <K extends string>(name: K, value: string | undefined) =>
    (value === undefined ? {} : { [name]: value }) as Partial<Record<K, string>>;
  const replyBy = fields.get(TAG_REPLY_BY);
  return {
    id: text(parts.id, parts.sender),
    sender: text(parts.sender, parts.receiver),
    receiver: text(parts.receiver, parts.extensions),
    performative:
      PERFORMATIVES[bytes[offset + AT_PERFORMATIVE]!] ?? fields.get(TAG_PERFORMATIVE) ?? "inform",
    contentType:
      CONTENT_TYPES[bytes[offset + AT_CONTENT_TYPE]!] ??
      fields.get(TAG_CONTENT_TYPE) ??
      CONTENT_TYPES[0],
    content: Uint8Array.from(bytes.subarray(parts.content, parts.end)),
    headers,
    ...optional("conversationId", fields.get(TAG_CONVERSATION_ID)),
    ...optional("replyWith", fields.get(TAG_REPLY_WITH)),
    ...optional("inReplyTo", fields.get(TAG_IN_REPLY_TO)),
    ...optional("ontology", fields.get(TAG_ONTOLOGY)),
    ...optional("language", fields.get(TAG_LANGUAGE)),
    ...optional("protocol", fields.get(TAG_PROTOCOL)),
    ...(replyBy === undefined ? {} : { replyByMs: Number(replyBy) }),
  };
}
