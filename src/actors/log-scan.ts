/** Frames of the log, read while the node works. */
import { setImmediate as nextRound } from "node:timers/promises";
import { readFrameHeader } from "../storage/frame-codec.ts";
import type { FrameHeader } from "../storage/frame-codec.ts";
import type { Log } from "../storage/index.ts";

/** How much is looked at before others get their turn on the main thread. */
const ROUND_BYTES = 256 * 1024;

export interface ScannedFrame {
  readonly header: FrameHeader;
  readonly frame: Buffer;
  /** Of the acting frame before it in the log; what is between the two does nothing. */
  readonly previous: number;
}

/** Frames from..to of a partition that the log still has and that act (see PartitionRecovery). */
async function* scan(
  log: Log,
  partition: number,
  from: number,
  to: number,
): AsyncGenerator<ScannedFrame, undefined> {
  let previous: number | undefined;
  for await (const { sequence, frame: bytes } of log.scan(partition, from)) {
    if (sequence > to) return;
    const frame = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const header = readFrameHeader(frame);
    previous ??= sequence - 1;
    if (header.frameNo !== sequence) continue;
    yield { header, frame, previous };
    previous = sequence;
  }
}

export interface ScanRange {
  readonly partition: number;
  readonly from: number;
  /** The last one wanted. */
  readonly to: number;
}

/**
 * Frames of several partitions in the order in which they were sealed: what one partition sent stands before
 * what another made of it, unless both happened within a millisecond.
 */
export async function* scanInTimeOrder(
  log: Log,
  ranges: readonly ScanRange[],
): AsyncGenerator<ScannedFrame, undefined> {
  const scans = ranges.map(({ partition, from, to }) => scan(log, partition, from, to));
  try {
    const heads = await Promise.all(scans.map(async (frames) => (await frames.next()).value));
    for (let bytes = 0; ;) {
      const first = earliest(heads);
      const head = heads[first];
      if (head === undefined) return;
      yield head;
      heads[first] = (await scans[first]!.next()).value;
      bytes += head.frame.length;
      if (bytes < ROUND_BYTES) continue;
      bytes = 0;
      await nextRound();
    }
  } finally {
    for (const frames of scans) await frames.return(undefined);
  }
}

/** Index of the frame sealed first; -1 when none is left. */
function earliest(heads: readonly (ScannedFrame | undefined)[]): number {
  let first = -1;
  let firstMs = Infinity;
  heads.forEach((head, i) => {
    if (head === undefined || head.header.timeMs >= firstMs) return;
    first = i;
    firstMs = head.header.timeMs;
  });
  return first;
}
