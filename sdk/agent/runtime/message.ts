/** A message as the host delivers it; parts are decoded when they are asked for. */
import type { Message } from "caxton";
import { CONTENT_TYPES, FLAG_WANTS_REPLY, OTHER, PERFORMATIVES, TAG } from "./envelope.ts";
import { host } from "./host.ts";

const HEADER_BYTES = 32;

export class IncomingMessage implements Message {
  readonly flags: number;
  /** Number of the ask or id of the timer it answers. */
  readonly correlation: number;
  readonly content: Uint8Array;
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly senderAt: number;
  private readonly receiverAt: number;
  private readonly extensionsAt: number;
  private readonly contentAt: number;

  constructor(bytes: Uint8Array) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.bytes = bytes;
    this.view = view;
    this.flags = view.getUint16(4, true);
    this.senderAt = HEADER_BYTES + view.getUint16(8, true);
    this.receiverAt = this.senderAt + view.getUint16(10, true);
    this.extensionsAt = this.receiverAt + view.getUint16(12, true);
    this.contentAt = this.extensionsAt + view.getUint32(16, true);
    this.correlation = view.getUint32(24, true) + view.getUint32(28, true) * 4294967296;
    this.content = bytes.subarray(this.contentAt, this.contentAt + view.getUint32(20, true));
  }

  get id(): string {
    return this.decode(HEADER_BYTES, this.senderAt);
  }

  get sender(): string {
    return this.decode(this.senderAt, this.receiverAt);
  }

  get receiver(): string {
    return this.decode(this.receiverAt, this.extensionsAt);
  }

  get performative(): string {
    return this.named(6, PERFORMATIVES, TAG.performative);
  }

  get contentType(): string {
    return this.named(7, CONTENT_TYPES, TAG.contentType);
  }

  get text(): string {
    return host.decode(this.content);
  }

  json<T>(): T {
    return JSON.parse(this.text) as T;
  }

  get wantsReply(): boolean {
    return (this.flags & FLAG_WANTS_REPLY) !== 0;
  }

  get conversationId(): string | undefined {
    return this.extension(TAG.conversationId);
  }

  get replyWith(): string | undefined {
    return this.extension(TAG.replyWith);
  }

  get inReplyTo(): string | undefined {
    return this.extension(TAG.inReplyTo);
  }

  get replyByMs(): number | undefined {
    const [at] = this.find(TAG.replyBy);
    if (at === undefined) return undefined;
    return this.view.getUint32(at, true) + this.view.getUint32(at + 4, true) * 4294967296;
  }

  get ontology(): string | undefined {
    return this.extension(TAG.ontology);
  }

  get language(): string | undefined {
    return this.extension(TAG.language);
  }

  get protocol(): string | undefined {
    return this.extension(TAG.protocol);
  }

  get headers(): Readonly<Record<string, string>> {
    const headers: Record<string, string> = {};
    for (const at of this.find(TAG.header)) {
      const [key, value] = this.value(at).split("\0");
      headers[key!] ??= value ?? "";
    }
    return headers;
  }

  get errorCode(): string | undefined {
    return this.extension(TAG.errorCode);
  }

  private named(at: number, names: readonly string[], tag: number): string {
    const code = this.view.getUint8(at);
    return (code === OTHER ? this.extension(tag) : names[code]) ?? "";
  }

  private extension(tag: number): string | undefined {
    const [at] = this.find(tag);
    return at === undefined ? undefined : this.value(at);
  }

  /** Where the values of the extensions with this tag begin. */
  private find(tag: number): number[] {
    const found: number[] = [];
    for (let at = this.extensionsAt; at < this.contentAt; at += 4 + this.length(at + 4)) {
      if (this.view.getUint8(at) === tag) found.push(at + 4);
    }
    return found;
  }

  private length(at: number): number {
    return this.view.getUint16(at - 2, true);
  }

  private value(at: number): string {
    return this.decode(at, at + this.length(at));
  }

  private decode(from: number, to: number): string {
    return host.decode(this.bytes.subarray(from, to));
  }
}
