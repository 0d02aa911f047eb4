import {
  contentTypeName,
  performativeName,
  CONTENT_TYPE,
  CONVERSATION_ID,
  ERROR_CODE,
  HEADER,
  IN_REPLY_TO,
  LANGUAGE,
  ONTOLOGY,
  OTHER,
  PERFORMATIVE,
  PROTOCOL,
  REPLY_BY,
  REPLY_WITH,
} from "./names";

const HEADER_BYTES: usize = 32;

function textAt(at: usize, bytes: i32): string {
  return String.UTF8.decodeUnsafe(at, bytes);
}

/**
 * The message being handled. It reads the bytes the host wrote when it is asked and copies nothing
 * before; the host writes the next message to the same place, so keep what you read, not the Message.
 */
export class Message {
  private at: usize = 0;

  /** For the kit: looks at another message. */
  attach(at: usize): Message {
    this.at = at;
    return this;
  }

  get id(): string {
    return textAt(this.at + HEADER_BYTES, this.idBytes);
  }
  /** The address of an actor, or the name of a client. */
  get sender(): string {
    return textAt(this.at + HEADER_BYTES + this.idBytes, this.senderBytes);
  }
  /** The address of this actor. */
  get receiver(): string {
    return textAt(
      this.at + HEADER_BYTES + this.idBytes + this.senderBytes,
      load<u16>(this.at, 12),
    );
  }

  get performative(): string {
    const code = load<u8>(this.at, 6);
    return code == OTHER ? this.extensionText(PERFORMATIVE) : performativeName(code);
  }
  get contentType(): string {
    const code = load<u8>(this.at, 7);
    return code == OTHER ? this.extensionText(CONTENT_TYPE) : contentTypeName(code);
  }

  /** The content as UTF-8 text. */
  get text(): string {
    return textAt(this.contentAt, this.contentBytes);
  }
  /** A copy of the content. */
  get bytes(): Uint8Array {
    const copy = new Uint8Array(this.contentBytes);
    memory.copy(copy.dataStart, this.contentAt, this.contentBytes);
    return copy;
  }
  /** Where the content is, for code that reads it in place; good until the handler returns. */
  get contentAt(): usize {
    return this.extensionsAt + load<u32>(this.at, 16);
  }
  get contentBytes(): i32 {
    return load<i32>(this.at, 20);
  }

  /** The sender waits for a reply. */
  get wantsReply(): bool {
    return this.hasFlag(1);
  }
  /** The answer to an ask: see `correlation`. */
  get isReply(): bool {
    return this.hasFlag(2);
  }
  /** An ask of ours failed: see `correlation`, `errorCode` and `text`. */
  get isFailure(): bool {
    return this.hasFlag(4);
  }
  get isTimer(): bool {
    return this.hasFlag(8);
  }
  /** The sender is an outside client. */
  get isFromClient(): bool {
    return this.hasFlag(16);
  }
  /** What `ask` returned, for replies and failures; the timer's id for timers; else 0. */
  get correlation(): u64 {
    return load<u64>(this.at, 24);
  }

  // The extensions: empty, or 0, when the message has none.
  get conversationId(): string {
    return this.extensionText(CONVERSATION_ID);
  }
  get replyWith(): string {
    return this.extensionText(REPLY_WITH);
  }
  get inReplyTo(): string {
    return this.extensionText(IN_REPLY_TO);
  }
  get replyByMs(): u64 {
    const at = this.findExtension(REPLY_BY, this.extensionsAt);
    return at == 0 ? 0 : load<u64>(at, 4);
  }
  get ontology(): string {
    return this.extensionText(ONTOLOGY);
  }
  get language(): string {
    return this.extensionText(LANGUAGE);
  }
  get protocol(): string {
    return this.extensionText(PROTOCOL);
  }
  get errorCode(): string {
    return this.extensionText(ERROR_CODE);
  }
  /** The value of a header; null when there is no such header. */
  header(key: string): string | null {
    let at = this.findExtension(HEADER, this.extensionsAt);
    while (at != 0) {
      const pair = textAt(at + 4, load<u16>(at, 2));
      const end = pair.indexOf("\0");
      if (end == key.length && pair.startsWith(key)) return pair.substring(end + 1);
      at = this.findExtension(HEADER, at + 4 + load<u16>(at, 2));
    }
    return null;
  }

  private get idBytes(): i32 {
    return load<u16>(this.at, 8);
  }
  private get senderBytes(): i32 {
    return load<u16>(this.at, 10);
  }
  private get extensionsAt(): usize {
    return this.at + HEADER_BYTES + this.idBytes + this.senderBytes + load<u16>(this.at, 12);
  }
  private hasFlag(flag: u16): bool {
    return (load<u16>(this.at, 4) & flag) != 0;
  }
  private extensionText(tag: u8): string {
    const at = this.findExtension(tag, this.extensionsAt);
    return at == 0 ? "" : textAt(at + 4, load<u16>(at, 2));
  }
  /** Where the next extension with the tag begins, from a place on; 0 when there is none. */
  private findExtension(tag: u8, from: usize): usize {
    const end = this.contentAt;
    let at = from;
    while (at < end && load<u8>(at) < tag) at += 4 + load<u16>(at, 2);
    return at < end && load<u8>(at) == tag ? at : 0;
  }
}
