/** A message as the host delivers it; parts are decoded when they are asked for. */
import type { Message } from "caxton";
import { CONTENT_TYPES, FLAG_WANTS_REPLY, OTHER, PERFORMATIVES, TAG } from "./envelope.ts";
import { host } from "./host.ts";

const HEADER_BYTES = 32;

/** Where the parts lie; looked up once, when the first is asked for. */
interface Layout {
  readonly view: DataView;
  readonly senderAt: number;
  readonly receiverAt: number;
  readonly extensionsAt: number;
  readonly contentAt: number;
}

export class IncomingMessage implements Message {
  /** The flags the host sets lie in the low byte. */
  readonly flags: number;
  private readonly bytes: Uint8Array;
  private known: Layout | undefined;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.flags = bytes[4]!;
    this.known = undefined;
  }

  private get layout(): Layout {
    if (this.known !== undefined) return this.known;
    const { bytes } = this;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const senderAt = HEADER_BYTES + view.getUint16(8, true);
    const receiverAt = senderAt + view.getUint16(10, true);
    const extensionsAt = receiverAt + view.getUint16(12, true);
    const contentAt = extensionsAt + view.getUint32(16, true);
    this.known = { view, senderAt, receiverAt, extensionsAt, contentAt };
    return this.known;
  }

  /** Number of the ask or id of the timer it answers. */
  get correlation(): number {
    const { view } = this.layout;
    return view.getUint32(24, true) + view.getUint32(28, true) * 4294967296;
  }

  get content(): Uint8Array {
    // It is the last part. Without the layout, because this is what most handlers look at, and only this.
    const { bytes } = this;
    const length = bytes[20]! | (bytes[21]! << 8) | (bytes[22]! << 16);
    return bytes.subarray(bytes.length - length);
  }

  get id(): string {
    return this.decode(HEADER_BYTES, this.layout.senderAt);
  }

  get sender(): string {
    return this.decode(this.layout.senderAt, this.layout.receiverAt);
  }

  get receiver(): string {
    return this.decode(this.layout.receiverAt, this.layout.extensionsAt);
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
    return (
      this.layout.view.getUint32(at, true) + this.layout.view.getUint32(at + 4, true) * 4294967296
    );
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
    const code = this.layout.view.getUint8(at);
    return (code === OTHER ? this.extension(tag) : names[code]) ?? "";
  }

  private extension(tag: number): string | undefined {
    const [at] = this.find(tag);
    return at === undefined ? undefined : this.value(at);
  }

  /** Where the values of the extensions with this tag begin. */
  private find(tag: number): number[] {
    const found: number[] = [];
    for (
      let at = this.layout.extensionsAt;
      at < this.layout.contentAt;
      at += 4 + this.length(at + 4)
    ) {
      if (this.layout.view.getUint8(at) === tag) found.push(at + 4);
    }
    return found;
  }

  private length(at: number): number {
    return this.layout.view.getUint16(at - 2, true);
  }

  private value(at: number): string {
    return this.decode(at, at + this.length(at));
  }

  private decode(from: number, to: number): string {
    return host.decode(this.bytes.subarray(from, to));
  }
}
