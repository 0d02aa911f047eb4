/** Reads what a partition is recovered from, out of storage and into its worker. */
import type { Storage } from "../storage/index.ts";
import { PartitionContended } from "./log-appender.ts";
import { newestCheckpoint, type StoredCheckpoint } from "./newest-checkpoint.ts";
import type { ToWorker } from "./worker-protocol.ts";

const BATCH_BYTES = 4 * 1024 * 1024;

export type Give = (message: ToWorker, transfer: readonly ArrayBuffer[]) => void;

/** The newest checkpoint and the log after it. */
export async function readPartition(
  storage: Storage,
  partition: number,
  give: Give,
): Promise<void> {
  const checkpoint = await checkpointOf(storage, partition);
  if (checkpoint !== undefined) {
    const { sha256, content } = checkpoint;
    give({ kind: "checkpoint", partition, sha256, content }, [content.buffer]);
  }
  await readFrames(storage, partition, (checkpoint?.stateFrameNo ?? 0) + 1, give);
  give({ kind: "recovered", partition }, []);
}

async function checkpointOf(
  { log, blobs }: Storage,
  partition: number,
): Promise<StoredCheckpoint | undefined> {
  const before = await log.lastSequence(partition);
  try {
    return await newestCheckpoint(log, blobs, partition, before);
  } catch (error) {
    // The old owner may have named another one meanwhile and deleted this.
    if ((await log.lastSequence(partition)) === before) throw error;
    throw new PartitionContended(partition);
  }
}

async function readFrames(
  { log }: Storage,
  partition: number,
  from: number,
  give: Give,
): Promise<void> {
  let frames: { sequence: number; frame: Uint8Array }[] = [];
  let bytes = 0;
  const flush = (): void => {
    // Scanned frames own their memory.
    const buffers = frames.map(({ frame }) => frame.buffer as ArrayBuffer);
    give({ kind: "recover", partition, frames }, buffers);
    frames = [];
    bytes = 0;
  };
  for await (const { sequence, frame } of log.scan(partition, from)) {
    frames.push({ sequence, frame });
    bytes += frame.length;
    if (bytes > BATCH_BYTES) flush();
  }
  flush();
}
