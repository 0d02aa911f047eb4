/**
 * Sends from one partition to the others: from memory as their frame commits, from the log when a receiver
 * lacks some.
 *
 * Owns, per destination, whether delivery is live or catching up.
 * 1. A destination that catches up gets nothing from memory: its numbers arrive in order or not at all.
 * 2. Only committed sends are ever relayed.
 */
import type { FrameRange } from "../storage/index.ts";
import type { PartitionProcessor } from "./partition/processor.ts";
import { offsetOf, sequenceOf } from "./partition/turn-index.ts";

const CATCH_UP_ENTRIES_MAX = 1024;

export interface RelayPorts {
  /** Reads envelopes from the partition's log. */
  read(partition: number, ranges: readonly FrameRange[], done: (pieces: Buffer[]) => void): void;
  relay(source: number, destination: number, n: number, envelope: Buffer): void;
}

export class Relay {
  private readonly processor: PartitionProcessor;
  private readonly ports: RelayPorts;
  /** Number to go on with, by destination. */
  private readonly catchingUp = new Map<number, number>();

  constructor(processor: PartitionProcessor, ports: RelayPorts) {
    this.processor = processor;
    this.ports = ports;
  }

  isLive(destination: number): boolean {
    return !this.catchingUp.has(destination);
  }

  /** The destination lacks number n and what follows. */
  catchUp(destination: number, n: number): void {
    const goesOnWith = this.catchingUp.get(destination);
    // What it was sent meanwhile may be lost as well.
    this.catchingUp.set(destination, Math.min(n, goesOnWith ?? n));
    if (goesOnWith === undefined) this.next(destination);
  }

  private next(destination: number): void {
    const { processor } = this;
    const n = this.catchingUp.get(destination)!;
    const entries = processor.state
      .outbox(destination)
      .from(n, CATCH_UP_ENTRIES_MAX)
      .filter((entry) => sequenceOf(entry.position) <= processor.frames.committedFrameNo);
    if (entries.length === 0) {
      this.catchingUp.delete(destination);
      return;
    }
    const ranges = entries.map(({ position, length }) => ({
      sequence: sequenceOf(position),
      offset: offsetOf(position),
      length,
    }));
    this.catchingUp.set(destination, entries.at(-1)!.n + 1);
    this.ports.read(processor.id, ranges, (pieces) => {
      entries.forEach((entry, i) => {
        this.ports.relay(processor.id, destination, entry.n, pieces[i]!);
      });
      this.next(destination);
    });
  }
}
