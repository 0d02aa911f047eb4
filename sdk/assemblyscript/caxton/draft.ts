import { Block } from "./block";
import * as host from "./host";
import {
  contentTypeCode,
  performativeCode,
  CONTENT_TYPE,
  CONVERSATION_ID,
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

const HEADER_BYTES: i32 = 16;
const INFORM: u8 = 0;
const BYTES: u8 = 0;
const JSON: u8 = 1;
const TEXT: u8 = 2;

/** Every draft is written here just before it goes to the host, which reads it at once. */
const out = new Block();

/**
 * A message to be sent. `to` clears it, so one Draft serves a whole agent and a turn in the fast lane
 * leaves no garbage:
 *   draft.to("default/counter/apples").text("3").send();
 */
export class Draft {
  private receiver: string = "";
  private performativeCode: u8 = INFORM;
  private contentTypeCode: u8 = BYTES;
  private contentText: string = "";
  private contentFrom: usize = 0;
  private contentBytes: i32 = 0;
  /** Keeps the content alive until it is sent. */
  private contentOwner: Uint8Array | null = null;
  /** Null until the draft has an extension; indexed by tag. */
  private extensions: Array<string | null> | null = null;
  private replyByAtMs: u64 = 0;
  private headers: Array<string> | null = null;

  /** Starts anew, for this receiver. A reply has none. */
  to(receiver: string): this {
    this.receiver = receiver;
    this.performativeCode = INFORM;
    this.extensions = null;
    this.headers = null;
    this.replyByAtMs = 0;
    return this.raw(0, 0);
  }

  performative(name: string): this {
    this.performativeCode = performativeCode(name);
    if (this.performativeCode == OTHER) this.extend(PERFORMATIVE, name);
    return this;
  }
  text(content: string): this {
    this.contentText = content;
    this.contentTypeCode = TEXT;
    this.contentBytes = -1;
    return this;
  }
  json(content: string): this {
    this.text(content);
    this.contentTypeCode = JSON;
    return this;
  }
  bytes(content: Uint8Array): this {
    this.raw(content.dataStart, content.length);
    this.contentOwner = content;
    return this;
  }
  /** Content in memory; it is read when the draft is sent. */
  raw(from: usize, bytes: i32): this {
    this.contentText = "";
    this.contentOwner = null;
    this.contentTypeCode = BYTES;
    this.contentFrom = from;
    this.contentBytes = bytes;
    return this;
  }
  /** After the content: what it is, where that is not clear from it. */
  contentType(name: string): this {
    this.contentTypeCode = contentTypeCode(name);
    if (this.contentTypeCode == OTHER) this.extend(CONTENT_TYPE, name);
    return this;
  }

  conversationId(id: string): this {
    return this.extend(CONVERSATION_ID, id);
  }
  replyWith(id: string): this {
    return this.extend(REPLY_WITH, id);
  }
  inReplyTo(id: string): this {
    return this.extend(IN_REPLY_TO, id);
  }
  replyByMs(atMs: u64): this {
    this.replyByAtMs = atMs;
    return this;
  }
  ontology(name: string): this {
    return this.extend(ONTOLOGY, name);
  }
  language(name: string): this {
    return this.extend(LANGUAGE, name);
  }
  protocol(name: string): this {
    return this.extend(PROTOCOL, name);
  }
  header(key: string, value: string): this {
    let headers = this.headers;
    if (headers === null) this.headers = headers = [];
    headers.push(key + "\0" + value);
    return this;
  }

  send(): void {
    const bytes = this.write();
    host.send(out.at, bytes);
  }
  /** Returns the ask's number, the `correlation` of its reply. 0 ms means 30 seconds. */
  ask(timeoutMs: i32 = 0): u64 {
    const bytes = this.write();
    return host.ask(out.at, bytes, timeoutMs);
  }
  /** Answers the message whose handler this is. */
  reply(): void {
    this.receiver = "";
    const bytes = this.write();
    host.reply(out.at, bytes);
  }

  private extend(tag: u8, text: string): this {
    let extensions = this.extensions;
    if (extensions === null) {
      this.extensions = extensions = new Array<string | null>(i32(HEADER)).fill(null);
    }
    extensions[tag] = text;
    return this;
  }

  private write(): i32 {
    out.reserve(HEADER_BYTES);
    const receiverBytes = out.writeText(HEADER_BYTES, this.receiver);
    const extensionsFrom = HEADER_BYTES + receiverBytes;
    const contentFrom = this.writeExtensions(extensionsFrom);
    const contentBytes =
      this.contentBytes < 0
        ? out.writeText(contentFrom, this.contentText)
        : out.writeBytes(contentFrom, this.contentFrom, this.contentBytes);
    store<u16>(out.at, 0, 0);
    store<u8>(out.at, this.performativeCode, 2);
    store<u8>(out.at, this.contentTypeCode, 3);
    store<u16>(out.at, u16(receiverBytes), 4);
    store<u16>(out.at, 0, 6);
    store<u32>(out.at, contentFrom - extensionsFrom, 8);
    store<u32>(out.at, contentBytes, 12);
    return contentFrom + contentBytes;
  }

  /** Writes the extensions in rising order of their tags; returns where they end. */
  private writeExtensions(from: i32): i32 {
    let at = from;
    const extensions = this.extensions;
    for (let tag = CONVERSATION_ID; tag < HEADER; tag++) {
      if (tag == REPLY_BY && this.replyByAtMs != 0) {
        out.reserve(at + 12);
        store<u64>(out.at + at, this.replyByAtMs, 4);
        at = writeTag(at, tag, 8);
      } else if (extensions !== null) {
        const text = extensions[tag];
        if (text !== null) at = writeExtension(at, tag, text);
      }
    }
    const headers = this.headers;
    if (headers !== null) {
      for (let i = 0; i < headers.length; i++) at = writeExtension(at, HEADER, headers[i]);
    }
    return at;
  }
}

function writeExtension(at: i32, tag: u8, text: string): i32 {
  return writeTag(at, tag, out.writeText(at + 4, text));
}

function writeTag(at: i32, tag: u8, bytes: i32): i32 {
  out.reserve(at + 4);
  store<u16>(out.at + at, tag);
  store<u16>(out.at + at, u16(bytes), 2);
  return at + 4 + bytes;
}
