/**
 * Where in the log an actor's turns are: what replay needs to read. A position packs a frame's sequence
 * and an offset in it into one number, since an actor has many.
 */
import { invariant } from "../../base/assert.ts";

/** Frames are smaller than 2 MiB. */
const OFFSET_SPAN = 0x200000;

export function logPosition(sequence: number, offset: number): number {
  return sequence * OFFSET_SPAN + offset;
}

export function sequenceOf(position: number): number {
  return Math.floor(position / OFFSET_SPAN);
}

export function offsetOf(position: number): number {
  return position % OFFSET_SPAN;
}

/** Per turn: position of its entry, bytes of the entry, position of its message, bytes of the message. */
export class TurnIndex {
  private positions = new Float64Array(4);
  private lengths = new Uint32Array(4);
  private count = 0;

  get length(): number {
    return this.count;
  }

  add(turn: number, turnBytes: number, message: number, messageBytes: number): void {
    invariant(turn >= 0 && message >= 0, "a journalled turn and its message are in the log");
    const at = this.count * 2;
    if (at === this.positions.length) {
      const positions = new Float64Array(at * 2);
      positions.set(this.positions);
      this.positions = positions;
      const lengths = new Uint32Array(at * 2);
      lengths.set(this.lengths);
      this.lengths = lengths;
    }
    this.positions[at] = turn;
    this.positions[at + 1] = message;
    this.lengths[at] = turnBytes;
    this.lengths[at + 1] = messageBytes;
    this.count++;
  }

  turnPosition(index: number): number {
    return this.positions[index * 2]!;
  }

  messagePosition(index: number): number {
    return this.positions[index * 2 + 1]!;
  }

  turnBytes(index: number): number {
    return this.lengths[index * 2]!;
  }

  messageBytes(index: number): number {
    return this.lengths[index * 2 + 1]!;
  }

  /** Frame of the newest turn, 0 when there is none. */
  get lastSequence(): number {
    return this.count === 0 ? 0 : sequenceOf(this.turnPosition(this.count - 1));
  }

  clear(): void {
    this.positions = new Float64Array(4);
    this.lengths = new Uint32Array(4);
    this.count = 0;
  }
}
