/**
 * Committed sends to one other partition that it has not committed yet. Holds positions in the log, not
 * bytes: delivery is from memory when the frame commits, and from the log when that got lost.
 *
 * 1. Numbers are dense from 1 for the life of the log: the receiver's cursor accepts only the next.
 */
import { Queue } from "../../base/queue.ts";

export interface OutboxEntry {
  readonly n: number;
  readonly position: number;
  readonly length: number;
}

export class Outbox {
  private readonly entries = new Queue<OutboxEntry>();
  private lastN = 0;
  bytes = 0;

  get length(): number {
    return this.entries.length;
  }

  /** Numbers a send. */
  add(position: number, length: number): number {
    const n = ++this.lastN;
    this.entries.push({ n, position, length });
    this.bytes += length;
    return n;
  }

  /** The receiver has committed everything up to n. */
  acknowledge(n: number): void {
    for (let first = this.entries.peek(); first && first.n <= n; first = this.entries.peek()) {
      this.entries.shift();
      this.bytes -= first.length;
    }
  }

  /** Number of the oldest entry, of the next one when there is none. */
  get firstN(): number {
    return this.entries.peek()?.n ?? this.lastN + 1;
  }

  /** Up to `max` entries from number n on. */
  from(n: number, max: number): OutboxEntry[] {
    const first = this.entries.peek()?.n ?? 0;
    const found: OutboxEntry[] = [];
    for (let i = Math.max(0, n - first); found.length < max; i++) {
      const entry = this.entries.at(i);
      if (entry === undefined) break;
      found.push(entry);
    }
    return found;
  }
}
