/**
 * Virtual time: actions in the order of (time, chance). Nothing here is real: the same seed gives the same run.
 */
import type { SeededRandom } from "../../src/base/random.ts";

interface Entry {
  readonly atMs: number;
  /** Drawn, so that what happens at the same time happens in any order. */
  readonly tie: number;
  action: (() => void) | undefined;
}

export class Timeline {
  nowMs = 0;
  steps = 0;
  private readonly heap: Entry[] = [];
  private readonly random: SeededRandom;

  constructor(random: SeededRandom) {
    this.random = random;
  }

  /** Returns what cancels the action. */
  after(delayMs: number, action: () => void): () => void {
    const entry: Entry = {
      atMs: this.nowMs + delayMs,
      tie: this.random.nextUint32(),
      action,
    };
    this.push(entry);
    return () => {
      entry.action = undefined;
    };
  }

  /** Runs the next action; false when there is none. */
  step(): boolean {
    for (;;) {
      const entry = this.pop();
      if (entry === undefined) return false;
      if (entry.action === undefined) continue;
      this.nowMs = entry.atMs;
      this.steps++;
      entry.action();
      return true;
    }
  }

  private push(entry: Entry): void {
    const { heap } = this;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(entry, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = entry;
  }

  private pop(): Entry | undefined {
    const { heap } = this;
    const top = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.tie < b.tie);
}
