/**
 * Whether what the partitions of a node say of each other can be: with servers that acknowledge first and sync
 * later a loss of power takes the ends of logs, of each stream another one.
 *
 * 1. A partition has taken what the other has sent, and not more: else that one's log ends too early. Numbers that
 *    it gives out again would be taken for those of before.
 * 2. A partition has taken what the other has dropped because it was taken: else its own log ends too early.
 */
import { CaxtonError } from "../base/errors.ts";
import type { Log } from "../storage/index.ts";
import { PartitionContended } from "./recover-anew.ts";
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

/** What does not go together was read while another owner wrote, or is what is left of it. */
export async function checkTails(
  log: Pick<Log, "lastSequence">,
  recovered: readonly (RecoveredTail & { readonly lastFrameNo: number })[],
): Promise<void> {
  const lost = findLostTail(recovered);
  if (lost === undefined) return;
  for (const { partition, lastFrameNo } of recovered) {
    if ((await log.lastSequence(partition)) !== lastFrameNo)
      throw new PartitionContended(partition);
  }
  const text = `The storage servers have lost acknowledged frames: ${lost}.`;
  throw new CaxtonError("STORAGE_CORRUPT", text);
}
