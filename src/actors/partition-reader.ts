/** Reads what a partition is recovered from, out of storage and into its worker. */
import type { Storage } from "../storage/index.ts";
import { PartitionContended } from "./recover-anew.ts";
import { newestCheckpoint, type StoredCheckpoint } from "./newest-checkpoint.ts";
import { RecoveryTail } from "./recovery-tail.ts";
import type { ToWorker } from "./worker-protocol.ts";

const BATCH_BYTES = 4 * 1024 * 1024;

export type Give = (message: ToWorker, transfer: readonly ArrayBuffer[]) => void;

/** The newest checkpoint and the log after it. */
export async function readPartition(
  storage: Storage,
  partition: number,
  give: Give,
): Promise<void> {
  // Where the log ended before anything of it was read.
  const before = await storage.log.lastSequence(partition);
  const checkpoint = await checkpointOf(storage, partition, before);
  if (checkpoint !== undefined) {
    const { sha256, content } = checkpoint;
    give({ kind: "checkpoint", partition, sha256, content }, [content.buffer]);
  }
  await readFrames(storage, partition, checkpoint, before, give);
  give({ kind: "recovered", partition }, []);
}

async function checkpointOf(
  { log, blobs }: Storage,
  partition: number,
  before: number,
): Promise<StoredCheckpoint | undefined> {
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
  checkpoint: StoredCheckpoint | undefined,
  before: number,
  give: Give,
): Promise<void> {
  const from = (checkpoint?.stateFrameNo ?? 0) + 1;
  const tail = new RecoveryTail(from, checkpoint?.frameNo ?? 0);
  let frames: { sequence: number; frame: Uint8Array }[] = [];
  let bytes = 0;
  const flush = (): void => {
    // Scanned frames own their memory.
    const buffers = frames.map(({ frame }) => frame.buffer as ArrayBuffer);
    give({ kind: "recover", partition, frames }, buffers);
    frames = [];
    bytes = 0;
  };
  for await (const record of log.scan(partition, from)) {
    const { sequence, frame } = record;
    const finding = tail.take(record);
    // A hole that nobody else can have made is damage, and recovery says so.
    const isContended =
      finding === "hole" ? (await log.lastSequence(partition)) !== before : finding !== "follows";
    if (isContended) throw new PartitionContended(partition);
    frames.push({ sequence, frame });
    bytes += frame.length;
    if (bytes > BATCH_BYTES) flush();
  }
  flush();
}
