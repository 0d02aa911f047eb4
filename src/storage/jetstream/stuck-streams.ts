/**
 * Streams that take nothing, though their leader is there: after a write that failed, for want of space above all,
 * nats-server acknowledges nothing in that stream until it is started again, and gives no reason either.
 *
 * Owns since when what was published to a stream got no answer in time.
 * 1. One acknowledgement ends it.
 */
import type { Room } from "./room.ts";

/** Of the time for one answer. What was under way with the first that had none proves no more than that one. */
const LONG_FRACTION = 0.8;

export class StuckStreams {
  readonly #room: Room;
  readonly #longMs: number;
  readonly #sinceMs = new Map<string, number>();

  constructor(room: Room, answerWaitMs: number) {
    this.#room = room;
    this.#longMs = answerWaitMs * LONG_FRACTION;
  }

  acknowledged(stream: string): void {
    this.#sinceMs.delete(stream);
  }

  /** Something published got no answer in time, and a question to the leader did. */
  silent(stream: string): void {
    const nowMs = performance.now();
    const sinceMs = this.#sinceMs.get(stream) ?? nowMs;
    this.#sinceMs.set(stream, sinceMs);
    if (nowMs - sinceMs < this.#longMs) return;
    this.#sinceMs.delete(stream);
    this.#room.storesNothing(stream);
  }
}
