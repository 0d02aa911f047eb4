/**
 * The effects of turns as raw bytes. A guest's host calls append entries; the bookkeeping reads them after
 * the turn and copies them into the frame as they are.
 *
 * Owns one preallocated buffer per worker.
 * 1. Only `cursor` says what exists: bytes past it never happened.
 * 2. Every entry begins with its length, is a multiple of 4 bytes long and its padding is zero, so equal
 *    effects are equal bytes and the digest runs over words.
 */
import { invariant } from "../../base/assert.ts";

export const EFFECT_SEND = 1;
export const EFFECT_ASK = 2;
export const EFFECT_REPLY = 3;
export const EFFECT_STATE_PUT = 4;
export const EFFECT_STATE_DELETE = 5;
export const EFFECT_EMIT = 6;
export const EFFECT_TIMER_SET = 7;
export const EFFECT_TIMER_CANCEL = 8;

/** Entry: u32 bytes, u8 kind, u8 0, u16 short, u32 number, then by kind. */
export const EFFECT_AT_KIND = 4;
export const EFFECT_AT_SHORT = 6;
export const EFFECT_AT_NUMBER = 8;
/** Sends and replies: number = address hash; the envelope follows. */
export const EFFECT_SEND_HEADER_BYTES = 12;
/** Asks: an f64 deadline (ms) stands before the envelope. */
export const EFFECT_ASK_AT_DEADLINE = 12;
export const EFFECT_ASK_HEADER_BYTES = 20;
/** State and events: short = bytes of key or topic, number = bytes of the value. */
export const EFFECT_KEYED_HEADER_BYTES = 12;
/** Timers: number = bytes of the payload, then u64 id, f64 due (ms), payload. */
export const EFFECT_TIMER_AT_ID = 12;
export const EFFECT_TIMER_AT_DUE = 20;
export const EFFECT_TIMER_HEADER_BYTES = 28;

function padded(bytes: number): number {
  return (bytes + 3) & ~3;
}

export class EffectRing {
  readonly bytes: Buffer;
  readonly view: DataView;
  private readonly words: Int32Array;
  cursor = 0;

  constructor(capacity: number) {
    const buffer = new ArrayBuffer(padded(capacity));
    this.bytes = Buffer.from(buffer);
    this.view = new DataView(buffer);
    this.words = new Int32Array(buffer);
  }

  get roomBytes(): number {
    return this.bytes.length - this.cursor;
  }

  /** Reserves an entry and writes its header; returns its offset. The caller fills the rest. */
  reserve(kind: number, short: number, number: number, bytes: number): number {
    const at = this.cursor;
    const end = at + padded(bytes);
    invariant(end <= this.bytes.length, "the ring has room for a turn's effects");
    this.words[(end >> 2) - 1] = 0;
    this.view.setUint32(at, end - at, true);
    this.view.setUint32(at + 4, kind | (short << 16), true);
    this.view.setUint32(at + 8, number, true);
    this.cursor = end;
    return at;
  }

  /** Digest of a turn's effects: MurmurHash3 (32 bit) over the words, without the tail step. */
  digest(from: number, to: number): number {
    const words = this.words;
    let hash = 0x9747b28c;
    for (let i = from >> 2; i < to >> 2; i++) {
      let k = Math.imul(words[i]!, 0xcc9e2d51);
      k = (k << 15) | (k >>> 17);
      hash ^= Math.imul(k, 0x1b873593);
      hash = (hash << 13) | (hash >>> 19);
      hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
    }
    hash ^= to - from;
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return (hash ^ (hash >>> 16)) >>> 0;
  }
}

/** Offset of the message that an effect sends; undefined when it sends none. */
export function sentMessageAt(bytes: Buffer, effect: number): number | undefined {
  const kind = bytes[effect + EFFECT_AT_KIND];
  if (kind === EFFECT_SEND || kind === EFFECT_REPLY) return effect + EFFECT_SEND_HEADER_BYTES;
  return kind === EFFECT_ASK ? effect + EFFECT_ASK_HEADER_BYTES : undefined;
}
