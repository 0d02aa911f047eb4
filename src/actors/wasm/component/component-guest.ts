/**
 * One instance of a component's core module, called through the canonical ABI.
 *
 * Owns the right to call the guest's allocator.
 * 1. The allocator runs guest code, and guest code may call the host: while it runs, no host call may allocate, or
 *    guest and host would nest deeper than the count of calls sees.
 * 2. A time limit skips all clean-up, so every delivery begins by setting that right.
 */
import type { GuestDoor } from "../guest-door.ts";
import { trap } from "../turn-context.ts";
import type { GuestMemory } from "../turn-context.ts";
import { writeMessage } from "./deliver-message.ts";
import { BYTES, type WitVariant } from "./wit-types.ts";
import { CHECK, MESSAGE, OUTCOME } from "./world.ts";

type Realloc = (old: number, oldBytes: number, align: number, bytes: number) => number;

/** Stands for the place of nothing: aligned for everything, and inside memory. */
const NOWHERE = 8;
const TRIAL_BYTES = 16;
/** A call into native code costs more than copying so many bytes. */
const LOOP_BYTES_MAX = 64;
/** As of the text of `fail`. */
const ERROR_BYTES_MAX = 8192;

export class ComponentGuest implements GuestDoor {
  private readonly memory: GuestMemory;
  private readonly realloc: Realloc;
  private readonly handle: (message: number) => number;
  private readonly afterHandle: ((answer: number) => void) | undefined;
  private readonly health: (() => number) | undefined;
  private readonly giveState: (() => number) | undefined;
  private readonly afterGiveState: ((answer: number) => void) | undefined;
  private readonly takeState: ((state: number, bytes: number) => number) | undefined;
  private isAllocating = false;

  constructor(exports: WebAssembly.Exports, memory: GuestMemory) {
    this.memory = memory;
    this.realloc = exports["cabi_realloc"] as Realloc;
    this.handle = exports["handle"] as (message: number) => number;
    this.afterHandle = exports["cabi_post_handle"] as ((answer: number) => void) | undefined;
    this.health = exports["health"] as (() => number) | undefined;
    this.giveState = exports["export-state"] as (() => number) | undefined;
    this.afterGiveState = exports["cabi_post_export-state"] as typeof this.afterHandle;
    this.takeState = exports["import-state"] as typeof this.takeState;
  }

  deliver(bytes: Buffer, offset: number, length: number): number {
    this.isAllocating = false;
    const at = this.alloc(MESSAGE.bytes, MESSAGE.align);
    const whole = offset === 0 && length === bytes.length;
    writeMessage(this, at, whole ? bytes : bytes.subarray(offset, offset + length));
    const answer = this.handle(at) >>> 0;
    const error = this.errorOf(answer, OUTCOME);
    if (error !== undefined) trap("AGENT_FAILED", error);
    const progress = this.bytes[answer + OUTCOME.payloadAt]!;
    this.afterHandle?.(answer);
    return progress;
  }

  exportState(): Buffer | undefined {
    if (this.giveState === undefined) return undefined;
    this.isAllocating = false;
    const answer = this.giveState() >>> 0;
    this.check(answer, BYTES.bytes, "what export-state returned");
    const from = this.bytes.readUInt32LE(answer);
    const length = this.bytes.readUInt32LE(answer + 4);
    this.check(from, length, "the state");
    const state = Buffer.from(this.bytes.subarray(from, from + length));
    this.afterGiveState?.(answer);
    return state;
  }

  importState(state: Buffer): boolean {
    if (this.takeState === undefined) return false;
    this.isAllocating = false;
    const place = this.alloc(state.length, 1);
    this.bytes.set(state, place);
    const error = this.errorOf(this.takeState(place, state.length) >>> 0, CHECK);
    if (error !== undefined) trap("AGENT_FAILED", error);
    return true;
  }

  /** Tries the allocator, then asks. */
  complaint(): string | undefined {
    this.isAllocating = false;
    this.alloc(TRIAL_BYTES, 1);
    return this.health === undefined ? undefined : this.errorOf(this.health() >>> 0, CHECK);
  }

  /** The text of a result whose error is one; undefined when it is none. */
  private errorOf(answer: number, { bytes, payloadAt }: WitVariant): string | undefined {
    this.check(answer, bytes, "a result");
    const memory = this.bytes;
    if (memory[answer] === 0) return undefined;
    const text = memory.readUInt32LE(answer + payloadAt);
    const textBytes = memory.readUInt32LE(answer + payloadAt + 4);
    this.check(text, textBytes, "the text of an error");
    return memory.toString("utf8", text, text + Math.min(textBytes, ERROR_BYTES_MAX));
  }

  /** The memory as it is now. */
  get bytes(): Buffer {
    if (this.memory.bytes.length === 0) this.memory.refresh();
    return this.memory.bytes;
  }

  /** A place from the guest's own allocator; the guest frees it. */
  alloc(bytes: number, align: number): number {
    if (bytes === 0) return NOWHERE;
    if (this.isAllocating) trap("HOST_CALL_INVALID", "cabi_realloc called a host function");
    this.isAllocating = true;
    const at = this.realloc(0, 0, align, bytes) >>> 0;
    this.isAllocating = false;
    this.check(at, bytes, "what cabi_realloc returned");
    return at;
  }

  private check(at: number, bytes: number, what: string): void {
    if (at + bytes <= this.bytes.length) return;
    trap("HOST_CALL_INVALID", `${what} lies outside memory of ${this.bytes.length} bytes`);
  }

  /** Writes where a list or string is, and a copy of it: the bytes [from, to) of the source. */
  writeBytes(at: number, source: Buffer, from = 0, to = source.length): void {
    const place = this.alloc(to - from, 1);
    const { bytes } = this;
    if (to - from > LOOP_BYTES_MAX) source.copy(bytes, place, from, to);
    else for (let i = from; i < to; i++) bytes[place + i - from] = source[i]!;
    this.writeRange(at, place, to - from);
  }

  writeRange(at: number, place: number, count: number): void {
    this.bytes.writeUInt32LE(place, at);
    this.bytes.writeUInt32LE(count, at + 4);
  }
}
