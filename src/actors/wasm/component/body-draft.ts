/**
 * Makes a draft of the core ABI of the body that a component sends, in memory of the host.
 *
 * Owns one buffer that is used again for every draft; its length is bounded by `limits.messageBytesMax`.
 */
import {
  CONTENT_TYPES,
  DRAFT_HEADER_BYTES,
  OTHER,
  PERFORMATIVES,
  TAG_CONTENT_TYPE,
  TAG_CONVERSATION_ID,
  TAG_HEADER,
  TAG_IN_REPLY_TO,
  TAG_LANGUAGE,
  TAG_ONTOLOGY,
  TAG_PERFORMATIVE,
  TAG_PROTOCOL,
  TAG_REPLY_BY,
  TAG_REPLY_WITH,
  codeOf,
} from "../envelope.ts";
import { trap } from "../turn-context.ts";
import type { TurnContext } from "../turn-context.ts";
import { BODY, HEADER, OPTIONAL_STRING, OPTIONAL_U64 } from "./world.ts";

const FIELD_BYTES_MAX = 0xffff;
const ZERO = Buffer.alloc(1);

/** In the order of their tags. */
const BEFORE_REPLY_BY = [
  [TAG_CONVERSATION_ID, BODY.at["conversation-id"]],
  [TAG_REPLY_WITH, BODY.at["reply-with"]],
  [TAG_IN_REPLY_TO, BODY.at["in-reply-to"]],
] as const;
const AFTER_REPLY_BY = [
  [TAG_ONTOLOGY, BODY.at.ontology],
  [TAG_LANGUAGE, BODY.at.language],
  [TAG_PROTOCOL, BODY.at.protocol],
] as const;

export class BodyDraft {
  private readonly turn: TurnContext;
  bytes = Buffer.allocUnsafe(1024);
  length = 0;

  constructor(turn: TurnContext) {
    this.turn = turn;
  }

  /** Both are places in the guest's memory: of the body, and of the receiver's string unless it is a reply. */
  compose(body: number, receiver: number | undefined): void {
    const { turn } = this;
    turn.requireMessage("send");
    turn.range(body, BODY.bytes, "body");
    this.length = 0;
    this.append(NO_HEADER, 0, DRAFT_HEADER_BYTES);
    if (receiver !== undefined) this.appendString(receiver);
    const receiverBytes = this.length - DRAFT_HEADER_BYTES;
    if (receiverBytes > FIELD_BYTES_MAX) trap("INVALID_ADDRESS", "the receiver is no address");
    const performative = this.code(PERFORMATIVES, body + BODY.at.performative);
    const contentType = this.code(CONTENT_TYPES, body + BODY.at["content-type"]);
    for (const [tag, at] of BEFORE_REPLY_BY) this.appendOptional(tag, body + at);
    this.appendReplyBy(body + BODY.at["reply-by-ms"]);
    for (const [tag, at] of AFTER_REPLY_BY) this.appendOptional(tag, body + at);
    if (performative === OTHER) this.appendField(TAG_PERFORMATIVE, body + BODY.at.performative);
    if (contentType === OTHER) this.appendField(TAG_CONTENT_TYPE, body + BODY.at["content-type"]);
    this.appendHeaders(body + BODY.at.headers);
    const content = this.length;
    this.appendString(body + BODY.at.content);
    this.bytes[2] = performative;
    this.bytes[3] = contentType;
    this.bytes.writeUInt16LE(receiverBytes, 4);
    this.bytes.writeUInt32LE(content - DRAFT_HEADER_BYTES - receiverBytes, 8);
    this.bytes.writeUInt32LE(this.length - content, 12);
  }

  /** The empty string stands for the first of the table. */
  private code(table: readonly string[], at: number): number {
    const { bytes } = this.turn.memory;
    const start = bytes.readUInt32LE(at);
    const length = bytes.readUInt32LE(at + 4);
    if (length === 0) return 0;
    this.turn.range(start, length, "body");
    return length > FIELD_BYTES_MAX
      ? OTHER
      : codeOf(table, bytes.toString("latin1", start, start + length));
  }

  private appendOptional(tag: number, at: number): void {
    if (this.turn.memory.bytes[at] !== 0) this.appendField(tag, at + OPTIONAL_STRING.payloadAt);
  }

  private appendReplyBy(at: number): void {
    const { bytes } = this.turn.memory;
    if (bytes[at] === 0) return;
    const from = at + OPTIONAL_U64.payloadAt;
    const field = this.beginField(TAG_REPLY_BY);
    this.append(bytes, from, from + 8);
    this.endField(field);
  }

  private appendField(tag: number, at: number): void {
    const field = this.beginField(tag);
    this.appendString(at);
    this.endField(field);
  }

  private appendHeaders(at: number): void {
    const { turn } = this;
    const { bytes } = turn.memory;
    const count = bytes.readUInt32LE(at + 4);
    const array = bytes.readUInt32LE(at);
    // Of so many no draft could hold even the empty ones.
    if (count > turn.environment.manifest.limits.messageBytesMax) this.refuse(count);
    turn.range(array, count * HEADER.bytes, "headers");
    for (let i = 0; i < count; i++) {
      const header = array + i * HEADER.bytes;
      const field = this.beginField(TAG_HEADER);
      this.appendString(header);
      this.append(ZERO, 0, 1);
      this.appendString(header + 8);
      this.endField(field);
    }
  }

  private beginField(tag: number): number {
    const field = this.length;
    this.append(NO_HEADER, 0, 4);
    this.bytes[field] = tag;
    return field;
  }

  private endField(field: number): void {
    const bytes = this.length - field - 4;
    if (bytes > FIELD_BYTES_MAX) {
      trap("MESSAGE_TOO_LARGE", "a field of a message is longer than 65,535 bytes");
    }
    this.bytes.writeUInt16LE(bytes, field + 2);
  }

  /** What the guest's string or list of bytes at this place holds. */
  private appendString(at: number): void {
    const { turn } = this;
    const length = turn.memory.bytes.readUInt32LE(at + 4);
    const start = turn.range(turn.memory.bytes.readUInt32LE(at), length, "body");
    this.append(turn.memory.bytes, start, start + length);
  }

  private append(from: Buffer, start: number, end: number): void {
    const length = this.length + end - start;
    if (length > this.turn.environment.manifest.limits.messageBytesMax) this.refuse(length);
    if (length > this.bytes.length) {
      const wider = Buffer.allocUnsafe(2 * length);
      this.bytes.copy(wider, 0, 0, this.length);
      this.bytes = wider;
    }
    from.copy(this.bytes, this.length, start, end);
    this.length = length;
  }

  private refuse(bytes: number): never {
    const max = this.turn.environment.manifest.limits.messageBytesMax;
    trap("MESSAGE_TOO_LARGE", `a message of ${String(bytes)} bytes or more passes ${String(max)}`);
  }
}

const NO_HEADER = Buffer.alloc(DRAFT_HEADER_BYTES);
