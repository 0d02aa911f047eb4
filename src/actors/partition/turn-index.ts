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

/**
 * Turns of all actors of a partition in the order of the log. Appending is sequential, whichever actor a
 * turn is of; each turn points back to the one before it of the same actor.
 */
export class TurnLog {
  private readonly previous: Float64Array[] = [];
  private readonly turns: Float64Array[] = [];
  private readonly messages: Float64Array[] = [];
  private readonly lengths: Uint32Array[] = [];
  private count = 0;

  /** Returns the turn's number. */
  add(previous: number, turn: number, message: number, messageBytes: number): number {
    const number = this.count++;
    const at = number % CHUNK;
    const chunk = (number - at) / CHUNK;
    if (at === 0) {
      this.previous.push(new Float64Array(CHUNK));
      this.turns.push(new Float64Array(CHUNK));
      this.messages.push(new Float64Array(CHUNK));
      this.lengths.push(new Uint32Array(CHUNK));
    }
    this.previous[chunk]![at] = previous;
    this.turns[chunk]![at] = turn;
    this.messages[chunk]![at] = message;
    this.lengths[chunk]![at] = messageBytes;
    return number;
  }

  previousOf(number: number): number {
    return this.previous[Math.floor(number / CHUNK)]![number % CHUNK]!;
  }

  turnOf(number: number): number {
    return this.turns[Math.floor(number / CHUNK)]![number % CHUNK]!;
  }

  messageOf(number: number): number {
    return this.messages[Math.floor(number / CHUNK)]![number % CHUNK]!;
  }

  messageBytesOf(number: number): number {
    return this.lengths[Math.floor(number / CHUNK)]![number % CHUNK]!;
  }
}

/** Where a turn and its message are in the log. */
export interface IndexedTurn {
  readonly turn: number;
  readonly message: number;
  readonly messageBytes: number;
}

const NONE = -1;

/** The turns of one actor. */
export class TurnIndex {
  private readonly log: TurnLog;
  /** Number of the newest turn. */
  newest = NONE;
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
    return this.newest === NONE ? 0 : sequenceOf(this.log.turnOf(this.newest));
  }

  /** Numbers of the turns, oldest first. */
  numbers(): Float64Array {
    const numbers = new Float64Array(this.count);
    let number = this.newest;
    for (let i = this.count - 1; i >= 0; i--) {
      numbers[i] = number;
      number = this.log.previousOf(number);
    }
    return numbers;
  }

  turn(number: number): IndexedTurn {
    const { log } = this;
    return {
      turn: log.turnOf(number),
      message: log.messageOf(number),
      messageBytes: log.messageBytesOf(number),
    };
  }

  clear(): void {
    this.newest = NONE;
    this.count = 0;
  }
}
