/**
 * Whether what the partitions of a node say of each other can be: with servers that acknowledge first and sync
 * later a loss of power takes the ends of logs, of each stream another one.
 *
 * 1. A partition has taken what the other has sent, and not more: else that one's log ends too early. Numbers that
 *    it gives out again would be taken for those of before.
 * 2. A partition has taken what the other has dropped because it was taken: else its own log ends too early.
 */
import type { PartitionState } from "./partition/partition-state.ts";

export interface SentTo {
  readonly destination: number;
  /** Up to this number the destination has said that it has them. */
  readonly takenN: number;
  readonly newestN: number;
}

export interface RecoveredTail {
  readonly partition: number;
  /** Number of the newest message taken, by source. */
  readonly cursors: readonly (readonly [number, number])[];
  readonly sent: readonly SentTo[];
}

/** Says which log lacks what; undefined when they go together. */
export function findLostTail(tails: readonly RecoveredTail[]): string | undefined {
  const taken = new Map(tails.map(({ partition, cursors }) => [partition, new Map(cursors)]));
  const sentN = new Map<string, number>();
  for (const { partition: source, sent } of tails) {
    for (const { destination, takenN, newestN } of sent) {
      sentN.set(`${String(source)} ${String(destination)}`, newestN);
      const n = taken.get(destination)?.get(source) ?? 0;
      if (n >= takenN) continue;
      return `partition ${String(destination)} had taken message ${String(takenN)} of partition ${String(source)}, now its log ends with ${String(n)}`;
    }
  }
  for (const { partition: destination, cursors } of tails) {
    for (const [source, n] of cursors) {
      const newestN = sentN.get(`${String(source)} ${String(destination)}`) ?? 0;
      if (n <= newestN) continue;
      return `partition ${String(destination)} has taken message ${String(n)} of partition ${String(source)}, whose log ends with ${String(newestN)}`;
    }
  }
  return undefined;
}

export function sentOf({ outboxes }: PartitionState): SentTo[] {
  return [...outboxes].map(([destination, { firstN, newestN }]) => ({
    destination,
    takenN: firstN - 1,
    newestN,
  }));
}
