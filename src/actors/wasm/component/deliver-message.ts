/** Gives a flat message to a component: as a record in its memory, whose strings it owns. */
import { isUtf8 } from "node:buffer";
import {
  AT_CONTENT_TYPE,
  AT_CORRELATION,
  AT_PERFORMATIVE,
  CONTENT_TYPES,
  FLAG_CLIENT,
  FLAG_FAILURE,
  FLAG_REPLY,
  FLAG_TIMER,
  FLAG_WANTS_REPLY,
  PERFORMATIVES,
  TAG_CONTENT_TYPE,
  TAG_CONVERSATION_ID,
  TAG_ERROR_CODE,
  TAG_HEADER,
  TAG_IN_REPLY_TO,
  TAG_LANGUAGE,
  TAG_ONTOLOGY,
  TAG_PERFORMATIVE,
  TAG_PROTOCOL,
  TAG_REPLY_BY,
  TAG_REPLY_WITH,
  envelopeFlags,
  envelopeParts,
  findExtension,
  type EnvelopeParts,
} from "../envelope.ts";
import type { ComponentGuest } from "./component-guest.ts";
import {
  BODY,
  CAUSE,
  CAUSE_FAILURE,
  CAUSE_REPLY,
  CAUSE_TIMER,
  FAILED_ASK,
  HEADER,
  MESSAGE,
  OPTIONAL_STRING,
  OPTIONAL_U64,
} from "./world.ts";

const NO_BYTES = Buffer.alloc(0);
const SHORT_BYTES_MAX = 128;
const PERFORMATIVE_BYTES = PERFORMATIVES.map((name) => Buffer.from(name));
const CONTENT_TYPE_BYTES = CONTENT_TYPES.map((name) => Buffer.from(name));

/** Fields that are an extension each. */
const OPTIONAL_FIELDS: ReadonlyMap<number, number> = new Map([
  [TAG_CONVERSATION_ID, BODY.at["conversation-id"]],
  [TAG_REPLY_WITH, BODY.at["reply-with"]],
  [TAG_IN_REPLY_TO, BODY.at["in-reply-to"]],
  [TAG_ONTOLOGY, BODY.at.ontology],
  [TAG_LANGUAGE, BODY.at.language],
  [TAG_PROTOCOL, BODY.at.protocol],
]);

/** `at` is a place for the record; everything in it is written. */
export function writeMessage(guest: ComponentGuest, at: number, message: Buffer): void {
  const parts = envelopeParts(message, 0);
  const flags = envelopeFlags(message, 0);
  guest.bytes.fill(0, at, at + MESSAGE.bytes);
  writeText(guest, at + MESSAGE.at.id, message, parts.id, parts.sender);
  writeText(guest, at + MESSAGE.at.sender, message, parts.sender, parts.receiver);
  writeText(guest, at + MESSAGE.at.receiver, message, parts.receiver, parts.extensions);
  writeCause(guest, at + MESSAGE.at.cause, message, parts, flags);
  if ((flags & FLAG_WANTS_REPLY) !== 0) guest.bytes[at + MESSAGE.at["wants-reply"]] = 1;
  if ((flags & FLAG_CLIENT) !== 0) guest.bytes[at + MESSAGE.at["from-client"]] = 1;
  writeBody(guest, at + MESSAGE.at.body, message, parts);
}

function writeCause(
  guest: ComponentGuest,
  at: number,
  message: Buffer,
  parts: EnvelopeParts,
  flags: number,
): void {
  const number = message.readBigUInt64LE(AT_CORRELATION);
  const payload = at + CAUSE.payloadAt;
  if ((flags & FLAG_FAILURE) !== 0) {
    guest.bytes[at] = CAUSE_FAILURE;
    guest.bytes.writeBigUInt64LE(number, payload + FAILED_ASK.at.ask);
    const code = findExtension(message, parts.extensions, parts.content, TAG_ERROR_CODE);
    writeText(guest, payload + FAILED_ASK.at.code, code ?? NO_BYTES);
  } else if ((flags & FLAG_REPLY) !== 0) {
    guest.bytes[at] = CAUSE_REPLY;
    guest.bytes.writeBigUInt64LE(number, payload);
  } else if ((flags & FLAG_TIMER) !== 0) {
    guest.bytes[at] = CAUSE_TIMER;
    guest.bytes.writeBigUInt64LE(number, payload);
  }
}

function writeBody(
  guest: ComponentGuest,
  at: number,
  message: Buffer,
  { extensions, content, end }: EnvelopeParts,
): void {
  const performative =
    PERFORMATIVE_BYTES[message[AT_PERFORMATIVE]!] ??
    findExtension(message, extensions, content, TAG_PERFORMATIVE) ??
    PERFORMATIVE_BYTES[0]!;
  writeText(guest, at + BODY.at.performative, performative);
  const contentType =
    CONTENT_TYPE_BYTES[message[AT_CONTENT_TYPE]!] ??
    findExtension(message, extensions, content, TAG_CONTENT_TYPE) ??
    CONTENT_TYPE_BYTES[0]!;
  writeText(guest, at + BODY.at["content-type"], contentType);
  guest.writeRange(at + BODY.at.headers, guest.alloc(0, HEADER.align), 0);
  if (content > extensions) writeExtensions(guest, at, message, extensions, content);
  guest.writeBytes(at + BODY.at.content, message, content, end);
}

/** The first extension of a tag counts, headers apart. */
function writeExtensions(
  guest: ComponentGuest,
  body: number,
  message: Buffer,
  from: number,
  to: number,
): void {
  const headers: Buffer[] = [];
  for (let at = from; at + 4 <= to;) {
    const value = message.subarray(at + 4, at + 4 + message.readUInt16LE(at + 2));
    const tag = message[at]!;
    const field = tag === TAG_REPLY_BY ? BODY.at["reply-by-ms"] : OPTIONAL_FIELDS.get(tag);
    if (tag === TAG_HEADER) headers.push(value);
    else if (field !== undefined && guest.bytes[body + field] === 0) {
      guest.bytes[body + field] = 1;
      if (tag === TAG_REPLY_BY) {
        guest.bytes.set(value.subarray(0, 8), body + field + OPTIONAL_U64.payloadAt);
      } else writeText(guest, body + field + OPTIONAL_STRING.payloadAt, value);
    }
    at += 4 + value.length;
  }
  if (headers.length > 0) writeHeaders(guest, body + BODY.at.headers, headers);
}

function writeHeaders(guest: ComponentGuest, at: number, headers: readonly Buffer[]): void {
  const array = guest.alloc(headers.length * HEADER.bytes, HEADER.align);
  headers.forEach((header, i) => {
    const zero = header.indexOf(0);
    const cut = zero < 0 ? header.length : zero;
    const place = array + i * HEADER.bytes;
    writeText(guest, place, header.subarray(0, cut));
    writeText(guest, place + 8, header.subarray(cut + 1));
  });
  guest.writeRange(at, array, headers.length);
}

/** A string of the component model is UTF-8 without fail, and guests rely on it. */
function writeText(
  guest: ComponentGuest,
  at: number,
  source: Buffer,
  from = 0,
  to = source.length,
): void {
  if (isShortAscii(source, from, to) || isUtf8(source.subarray(from, to))) {
    guest.writeBytes(at, source, from, to);
  } else {
    guest.writeBytes(at, Buffer.from(source.toString("utf8", from, to)));
  }
}

/** What nearly all texts are, told without a call into native code. */
function isShortAscii(source: Buffer, from: number, to: number): boolean {
  if (to - from > SHORT_BYTES_MAX) return false;
  for (let i = from; i < to; i++) if (source[i]! > 0x7f) return false;
  return true;
}
