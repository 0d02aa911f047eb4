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

/** Turns of one chunk; chunks are never copied. */
const CHUNK = 0x1000;

interface Chunk {
  readonly previous: Float64Array;
  readonly turns: Float64Array;
  readonly messages: Float64Array;
  readonly lengths: Uint32Array;
}

/**
 * Turns of all actors of a partition in the order of the log. Appending is sequential, whichever actor a
 * turn is of; each turn points back to the one before it of the same actor.
 */
export class TurnLog {
  /** By the number of their first turn; those nobody needs any more are gone. */
  private readonly chunks = new Map<number, Chunk>();
  private count = 0;

  /** Returns the turn's number. */
  add(previous: number, turn: number, message: number, messageBytes: number): number {
    const number = this.count++;
    const at = number % CHUNK;
    if (at === 0) {
      this.chunks.set(number, {
        previous: new Float64Array(CHUNK),
        turns: new Float64Array(CHUNK),
        messages: new Float64Array(CHUNK),
        lengths: new Uint32Array(CHUNK),
      });
    }
    const chunk = this.chunkOf(number);
    chunk.previous[at] = previous;
    chunk.turns[at] = turn;
    chunk.messages[at] = message;
    chunk.lengths[at] = messageBytes;
    return number;
  }

  /** Turns below this number are of no use any more. */
  forget(below: number): void {
    for (const first of this.chunks.keys()) {
      if (first + CHUNK <= below && first + CHUNK <= this.count) this.chunks.delete(first);
    }
  }

  private chunkOf(number: number): Chunk {
    const chunk = this.chunks.get(number - (number % CHUNK));
    invariant(chunk !== undefined, "a turn that is asked for is still known");
    return chunk;
  }

  previousOf(number: number): number {
    return this.chunkOf(number).previous[number % CHUNK]!;
  }

  turnOf(number: number): number {
    return this.chunkOf(number).turns[number % CHUNK]!;
  }

  messageOf(number: number): number {
    return this.chunkOf(number).messages[number % CHUNK]!;
  }

  messageBytesOf(number: number): number {
    return this.chunkOf(number).lengths[number % CHUNK]!;
  }
}

/** Where a turn and its message are in the log. */
export interface IndexedTurn {
  readonly turn: number;
  readonly message: number;
  readonly messageBytes: number;
}

/** Before the first turn. */
export const NO_TURN = -1;

/** The turns of one actor that its durable image lacks. */
export class TurnIndex {
  private readonly log: TurnLog;
  /** Number of the newest turn. */
  newest = NO_TURN;
  /** The image has the turns up to this number. */
  private base = NO_TURN;
  private count = 0;

  constructor(log: TurnLog) {
    this.log = log;
  }

  get length(): number {
    return this.count;
  }

  add(turn: number, message: number, messageBytes: number): void {
    invariant(turn >= 0 && message >= 0, "a journalled turn and its message are in the log");
    this.newest = this.log.add(this.newest, turn, message, messageBytes);
    this.count++;
  }

  /** Frame of the newest turn, 0 when there is none. */
  get lastSequence(): number {
    return this.count === 0 ? 0 : sequenceOf(this.log.turnOf(this.newest));
  }

  /** Numbers of the turns after the one given, oldest first. */
  numbers(after = this.base): Float64Array {
    const numbers = new Float64Array(this.count);
    let first = this.count;
    for (let number = this.newest; number > after; number = this.log.previousOf(number)) {
      numbers[--first] = number;
    }
    return numbers.subarray(first);
  }

  turn(number: number): IndexedTurn {
    const { log } = this;
    return {
      turn: log.turnOf(number),
      message: log.messageOf(number),
      messageBytes: log.messageBytesOf(number),
    };
  }

  /** A durable image has the turns up to `number`. */
  rebase(number: number): void {
    this.count = this.numbers(number).length;
    this.base = number;
  }

  clear(): void {
    this.base = this.newest;
    this.count = 0;
  }
}
