/**
 * A small host for one agent, written from docs/agent-abi.md alone: what a kit makes of a message and
 * which effects it asks for. No roll-back, no log; limits only as far as a rewritten module has them.
 */
import { HOST_EXPORT } from "../../src/actors/wasm/rewrite/host-exports.ts";

export interface GuestMessage {
  readonly text?: string;
  readonly content?: Uint8Array;
  readonly flags?: number;
  readonly performative?: number;
  readonly contentType?: number;
  readonly id?: string;
  readonly sender?: string;
  readonly correlation?: bigint;
  /** Tag and value, in rising order. */
  readonly extensions?: readonly (readonly [number, string | Uint8Array])[];
}

export interface GuestDraft {
  readonly performative: number;
  readonly contentType: number;
  readonly receiver: string;
  readonly extensions: readonly (readonly [number, Buffer])[];
  readonly content: Buffer;
  readonly text: string;
}

export interface GuestTurn {
  readonly result: number;
  readonly sends: readonly GuestDraft[];
  readonly asks: readonly GuestDraft[];
  readonly replies: readonly GuestDraft[];
  /** Every other effect as one line. */
  readonly calls: readonly string[];
}

export interface GuestOptions {
  readonly address?: string;
  readonly nowMs?: number;
  readonly config?: Readonly<Record<string, string>>;
  readonly flags?: Readonly<Record<string, boolean>>;
  /** For a rewritten module: what it may spend on one message. */
  readonly fuel?: number;
}

export const WANTS_REPLY = 1;
export const IS_REPLY = 2;
export const IS_FAILURE = 4;
export const IS_TIMER = 8;
export const QUERY_REF = 3;
export const TEXT = 2;

const HEADER_BYTES = 32;
const DRAFT_HEADER_BYTES = 16;

export class Guest {
  readonly state = new Map<string, Buffer>();
  readonly memory: WebAssembly.Memory;
  nowMs: number;
  private readonly begin: ((fuel: bigint) => void) | undefined;
  private readonly alloc: (bytes: number) => number;
  private readonly handle: (at: number, bytes: number) => number;
  private readonly address: string;
  private readonly options: GuestOptions;
  private sends: GuestDraft[] = [];
  private asks: GuestDraft[] = [];
  private replies: GuestDraft[] = [];
  private calls: string[] = [];
  private nextAsk = 1n;

  constructor(wasm: Uint8Array, options: GuestOptions = {}) {
    this.options = options;
    this.address = options.address ?? "default/agent/one";
    this.nowMs = options.nowMs ?? 1_700_000_000_000;
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(wasm), {
      caxton: this.imports(),
    });
    this.memory = exports["memory"] as WebAssembly.Memory;
    this.alloc = exports["caxton_alloc"] as (bytes: number) => number;
    this.handle = exports["caxton_handle"] as (at: number, bytes: number) => number;
    this.begin = exports[HOST_EXPORT.begin] as typeof this.begin;
    if (this.begin === undefined) (exports["_initialize"] as (() => void) | undefined)?.();
    else (exports[HOST_EXPORT.initialize] as (fuel: bigint) => void)(this.fuel);
  }

  private get fuel(): bigint {
    return BigInt(this.options.fuel ?? 100_000_000);
  }

  /** Throws what the agent fails with. */
  deliver(message: GuestMessage): GuestTurn {
    this.sends = [];
    this.asks = [];
    this.replies = [];
    this.calls = [];
    const result = this.deliverBytes(this.encode(message));
    const { sends, asks, replies, calls } = this;
    return { result, sends, asks, replies, calls };
  }

  /** The same message many times; its effects are of no interest. */
  deliverTimes(message: GuestMessage, times: number): void {
    const bytes = this.encode(message);
    for (let i = 0; i < times; i++) this.deliverBytes(bytes);
  }

  private deliverBytes(bytes: Uint8Array): number {
    this.begin?.(this.fuel);
    const at = this.alloc(bytes.length);
    new Uint8Array(this.memory.buffer).set(bytes, at >>> 0);
    return this.handle(at, bytes.length);
  }

  /** The text of the reply to an ask. */
  ask(text: string): string {
    const { replies } = this.deliver({ text, flags: WANTS_REPLY });
    if (replies.length !== 1) throw new Error(`${replies.length} replies to "${text}"`);
    return replies[0]!.text;
  }

  private encode(message: GuestMessage): Buffer {
    const content = message.content ?? Buffer.from(message.text ?? "");
    const extensions = (message.extensions ?? []).map(([tag, value]) => {
      const body = Buffer.from(value as string);
      return Buffer.concat([Buffer.from([tag, 0, body.length & 255, body.length >> 8]), body]);
    });
    const names = [message.id ?? "id-1", message.sender ?? "default/other/two", this.address];
    const parts = [...names.map((name) => Buffer.from(name)), Buffer.concat(extensions), content];
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt32LE(
      parts.reduce((sum, part) => sum + part.length, HEADER_BYTES),
      0,
    );
    header.writeUInt16LE(message.flags ?? 0, 4);
    header.writeUInt8(message.performative ?? 0, 6);
    header.writeUInt8(message.contentType ?? TEXT, 7);
    [8, 10, 12].forEach((offset, i) => header.writeUInt16LE(parts[i]!.length, offset));
    header.writeUInt32LE(parts[3]!.length, 16);
    header.writeUInt32LE(content.length, 20);
    header.writeBigUInt64LE(message.correlation ?? 0n, 24);
    return Buffer.concat([header, ...parts]);
  }

  private read(at: number, bytes: number): Buffer {
    return Buffer.from(new Uint8Array(this.memory.buffer, at >>> 0, bytes).slice());
  }

  private decode(at: number, bytes: number): GuestDraft {
    const draft = this.read(at, bytes);
    const receiverEnd = DRAFT_HEADER_BYTES + draft.readUInt16LE(4);
    const extensionsEnd = receiverEnd + draft.readUInt32LE(8);
    const contentEnd = extensionsEnd + draft.readUInt32LE(12);
    if (contentEnd !== bytes) throw new Error(`a draft of ${bytes} bytes has ${contentEnd}`);
    const extensions: [number, Buffer][] = [];
    for (let from = receiverEnd; from < extensionsEnd;) {
      const end = from + 4 + draft.readUInt16LE(from + 2);
      extensions.push([draft[from]!, draft.subarray(from + 4, end)]);
      from = end;
    }
    const content = draft.subarray(extensionsEnd, contentEnd);
    return {
      performative: draft[2]!,
      contentType: draft[3]!,
      receiver: draft.toString("utf8", DRAFT_HEADER_BYTES, receiverEnd),
      extensions,
      content,
      text: content.toString(),
    };
  }

  /** Copies an answer when it fits and says how long it is, as the host does. */
  private answer(value: Uint8Array | undefined, at: number, bytes: number): number {
    if (value === undefined) return -1;
    if (value.length <= bytes) new Uint8Array(this.memory.buffer).set(value, at >>> 0);
    return value.length;
  }

  private imports(): Record<string, CallableFunction> {
    const text = (at: number, bytes: number) => this.read(at, bytes).toString();
    const bytesOf = (value: string | undefined) =>
      value === undefined ? undefined : Buffer.from(value);
    return {
      send: (at: number, bytes: number) => void this.sends.push(this.decode(at, bytes)),
      ask: (at: number, bytes: number, timeoutMs: number) => {
        this.asks.push(this.decode(at, bytes));
        this.calls.push(`ask ${timeoutMs}`);
        return this.nextAsk++;
      },
      reply: (at: number, bytes: number) => void this.replies.push(this.decode(at, bytes)),
      fail: (at: number, bytes: number) => {
        throw new Error(text(at, bytes));
      },
      state_get: (key: number, keyBytes: number, at: number, bytes: number) =>
        this.answer(this.state.get(text(key, keyBytes)), at, bytes),
      state_put: (key: number, keyBytes: number, at: number, bytes: number) =>
        void this.state.set(text(key, keyBytes), this.read(at, bytes)),
      state_delete: (key: number, keyBytes: number) => void this.state.delete(text(key, keyBytes)),
      state_list: (prefix: number, prefixBytes: number, at: number, bytes: number) => {
        const start = text(prefix, prefixBytes);
        const keys = [...this.state.keys()].filter((key) => key.startsWith(start)).sort();
        const listed = keys.map((key) => {
          const body = Buffer.from(key);
          return Buffer.concat([Buffer.from([body.length & 255, body.length >> 8]), body]);
        });
        return this.answer(Buffer.concat(listed), at, bytes);
      },
      emit: (topic: number, topicBytes: number, at: number, bytes: number) =>
        void this.calls.push(`emit ${text(topic, topicBytes)} ${text(at, bytes)}`),
      timer_set: (id: bigint, delayMs: number, at: number, bytes: number) =>
        void this.calls.push(`timer ${id} ${delayMs} ${text(at, bytes)}`),
      timer_cancel: (id: bigint) => void this.calls.push(`cancel ${id}`),
      log: (level: number, at: number, bytes: number) =>
        void this.calls.push(`log ${level} ${text(at, bytes)}`),
      now: () => this.nowMs,
      random: () => 0.25,
      config_get: (key: number, keyBytes: number, at: number, bytes: number) =>
        this.answer(bytesOf(this.options.config?.[text(key, keyBytes)]), at, bytes),
      flag_get: (key: number, keyBytes: number) => {
        const flag = this.options.flags?.[text(key, keyBytes)];
        return flag === undefined ? -1 : Number(flag);
      },
      self: (at: number, bytes: number) => this.answer(Buffer.from(this.address), at, bytes),
    };
  }
}
