/**
 * The frames of a run in the order in which they became durable, and what goes with those that servers lose.
 *
 * 1. When a tail is lost, all that is known of the log is written anew without it: what was promised of the tail is
 *    void then, and no more.
 */
import type { Ledger } from "./ledger.ts";

export interface Durable {
  readonly partition: number;
  readonly sequence: number;
  readonly frame: Buffer;
}

export interface LostTail {
  /** Messages of clients that were taken in. */
  readonly accepted: ReadonlySet<string>;
  /** Replies to clients. */
  readonly replies: ReadonlySet<string>;
}

export class History {
  frames: Durable[] = [];

  add(durable: Durable): void {
    this.frames.push(durable);
  }

  keep(isKept: (durable: Durable) => boolean): void {
    this.frames = this.frames.filter(isKept);
  }
}

export function lostTail(before: Ledger, after: Ledger): LostTail {
  return {
    accepted: without(before.accepted, after.accepted),
    replies: without(before.replies, after.replies),
  };
}

function without(all: ReadonlySet<string>, some: ReadonlySet<string>): Set<string> {
  return new Set([...all].filter((token) => !some.has(token)));
}
