/**
 * Frames that recovery has met and that actors are brought back from: kept as it meets them, or read once more for
 * all actors of a partition, and not for each actor again. A partition with more of them than there is room for
 * has them loaded part by part, in the order of the log.
 *
 * Owns their lengths, and for some partitions a window: frames that lie in memory.
 * 1. All windows together have at most `bytesMax`, or are one frame; who needs others reads the log.
 * 2. No frame below the floor of the log is read: it may be gone.
 */
import type { FrameRange } from "../storage/index.ts";
import type { Actor } from "./partition/actor.ts";
import { sequenceOf } from "./partition/turn-index.ts";

const LOADED_BYTES_MAX = 128 * 1024 * 1024;
const READ_BYTES_MAX = 4 * 1024 * 1024;
/** What a frame takes besides its bytes. */
const FRAME_OVERHEAD_BYTES = 512;
/** Of a tail, that may be read beside a window. */
const ALLOWED_SHARE = 0.25;

/** Frames from `first` on, without `end`. */
export interface FrameSpan {
  readonly first: number;
  readonly end: number;
}

const NOTHING: FrameSpan = { first: 0, end: 0 };

interface Window {
  /** Sequence of the first frame. */
  readonly first: number;
  readonly frames: Buffer[];
  readonly isAtStart: boolean;
  bytes: number;
}

interface Tail {
  /** Sequence of the first frame. */
  readonly first: number;
  readonly lengths: number[];
  bytes: number;
  window: Window | undefined;
  /** Bytes that may still be read beside the window. */
  allowance: number;
}

export interface LoadPorts {
  /** Lowest sequence the log is sure to have. */
  floor(): number;
  read(ranges: readonly FrameRange[], done: (pieces: readonly Buffer[]) => void): void;
}

export class TailFrames {
  private readonly bytesMax: number;
  private readonly tails = new Map<number, Tail>();
  private bytes = 0;

  constructor(bytesMax = LOADED_BYTES_MAX) {
    this.bytesMax = bytesMax;
  }

  /** Recovery has met the next frame of a partition. */
  add(partition: number, sequence: number, frame: Buffer): void {
    let tail = this.tails.get(partition);
    if (tail === undefined) {
      const window = { first: sequence, frames: [], isAtStart: true, bytes: 0 };
      tail = { first: sequence, lengths: [], bytes: 0, window, allowance: 0 };
      this.tails.set(partition, tail);
    }
    const bytes = frame.length + FRAME_OVERHEAD_BYTES;
    tail.lengths.push(frame.length);
    tail.bytes += bytes;
    tail.allowance += bytes * ALLOWED_SHARE;
    if (tail.window === undefined) return;
    if (this.bytes + bytes > this.bytesMax) {
      this.release(partition);
      return;
    }
    tail.window.frames.push(frame);
    tail.window.bytes += bytes;
    this.bytes += bytes;
  }

  /** Its frames lie in memory from the first one on, or there are none that could. */
  isReady(partition: number): boolean {
    const tail = this.tails.get(partition);
    return tail === undefined || tail.window?.isAtStart === true;
  }

  hasWindow(partition: number): boolean {
    return this.tails.get(partition)?.window !== undefined;
  }

  /** Whether there is room for its frames, as far as there can be. */
  fits(partition: number): boolean {
    const tail = this.tails.get(partition);
    return tail === undefined || this.bytes + Math.min(tail.bytes, this.bytesMax) <= this.bytesMax;
  }

  /** Whether frames may be read for one actor: few may be, of all of the partition's. */
  mayRead(partition: number, actor: Actor): boolean {
    const tail = this.tails.get(partition);
    if (tail === undefined) return true;
    let { allowance } = tail;
    let last = 0;
    for (const sequence of framesOf(actor)) {
      if (sequence === last) continue;
      last = sequence;
      allowance -= (tail.lengths[sequence - tail.first] ?? 0) + FRAME_OVERHEAD_BYTES;
      if (allowance < 0) return false;
    }
    tail.allowance = allowance;
    return true;
  }

  /** Which of its frames lie in memory. */
  loaded(partition: number): FrameSpan {
    const window = this.tails.get(partition)?.window;
    return window === undefined ? NOTHING : spanOf(window);
  }

  /** It will be in a later window. */
  comesLater(partition: number, sequence: number): boolean {
    const tail = this.tails.get(partition);
    if (tail?.window === undefined || sequence >= tail.first + tail.lengths.length) return false;
    return sequence >= spanOf(tail.window).end;
  }

  /** Loads frames from the first one on, or from another, in place of what is loaded: as many as there is room for. */
  load(partition: number, from: number | undefined, ports: LoadPorts, done: () => void): void {
    this.release(partition);
    const tail = this.tails.get(partition);
    if (tail === undefined) {
      done();
      return;
    }
    const first = Math.max(from ?? tail.first, ports.floor());
    const window: Window = { first, frames: [], isAtStart: from === undefined, bytes: 0 };
    tail.window = window;
    this.fill(tail, window, ports, done);
  }

  private fill(tail: Tail, window: Window, ports: LoadPorts, done: () => void): void {
    const ranges = this.nextRanges(tail, window);
    if (ranges.length === 0 || tail.window !== window) {
      done();
      return;
    }
    ports.read(ranges, (pieces) => {
      // Nobody may want them any more.
      if (tail.window === window) this.take(window, pieces);
      this.fill(tail, window, ports, done);
    });
  }

  private nextRanges({ first, lengths }: Tail, window: Window): FrameRange[] {
    const ranges: FrameRange[] = [];
    let room = this.bytesMax - this.bytes;
    let bytes = 0;
    let next = spanOf(window).end;
    for (; next < first + lengths.length && bytes < READ_BYTES_MAX; next++) {
      const length = lengths[next - first]!;
      room -= length + FRAME_OVERHEAD_BYTES;
      if (room < 0 && next > window.first) break;
      ranges.push({ sequence: next, offset: 0, length });
      bytes += length;
    }
    return ranges;
  }

  private take(window: Window, pieces: readonly Buffer[]): void {
    for (const piece of pieces) {
      const bytes = piece.length + FRAME_OVERHEAD_BYTES;
      window.frames.push(piece);
      window.bytes += bytes;
      this.bytes += bytes;
    }
  }

  /** Undefined unless all of it is loaded. */
  read(partition: number, ranges: readonly FrameRange[]): Buffer[] | undefined {
    const window = this.tails.get(partition)?.window;
    if (window === undefined) return undefined;
    const pieces: Buffer[] = [];
    for (const { sequence, offset, length } of ranges) {
      const frame = window.frames[sequence - window.first];
      if (frame === undefined) return undefined;
      pieces.push(frame.subarray(offset, offset + length));
    }
    return pieces;
  }

  /** Gives up the partition's window: it can be loaded again. */
  release(partition: number): void {
    const tail = this.tails.get(partition);
    this.bytes -= tail?.window?.bytes ?? 0;
    if (tail !== undefined) tail.window = undefined;
  }

  /** The partition's actors are back. */
  forget(partition: number): void {
    this.release(partition);
    this.tails.delete(partition);
  }
}

function spanOf({ first, frames }: Window): FrameSpan {
  return { first, end: first + frames.length };
}

/** Frames of the turns that the actor's image lacks, some of them more than once. */
function* framesOf({ turns, newestImage }: Actor): Generator<number> {
  for (const number of turns.numbers(newestImage?.newestTurn)) {
    const { turn, message } = turns.turn(number);
    yield sequenceOf(turn);
    if (sequenceOf(message) !== sequenceOf(turn)) yield sequenceOf(message);
  }
}
