/**
 * Reads what a partition's recovery needs, at the storage's authoritative copy: its newest checkpoint and the
 * frames after it. Another owner may write, trim and delete meanwhile.
 *
 * 1. What has gone since it was found is no damage if somebody else has written: the partition is contended.
 */
import type { LogRecord, Storage } from "../storage/index.ts";
import { PartitionContended } from "./log-appender.ts";
import { newestCheckpoint, type StoredCheckpoint } from "./newest-checkpoint.ts";
import { RecoveryTail } from "./recovery-tail.ts";

const BATCH_BYTES = 4 * 1024 * 1024;

export interface PartitionReader {
  checkpoint(checkpoint: StoredCheckpoint): void;
  /** Frames that own their memory. */
  frames(frames: LogRecord[]): void;
}

export async function readPartition(
  storage: Storage,
  partition: number,
  reader: PartitionReader,
): Promise<void> {
  const before = await storage.log.lastSequence(partition);
  const checkpoint = await checkpointOf(storage, partition, before);
  if (checkpoint !== undefined) reader.checkpoint(checkpoint);
  await readFrames(storage, partition, before, checkpoint, reader);
}

/** `before` is where the log ended before anything of it was read. */
async function checkpointOf(
  { log, blobs }: Storage,
  partition: number,
  before: number,
): Promise<StoredCheckpoint | undefined> {
  try {
    return await newestCheckpoint(log, blobs, partition);
  } catch (error) {
    // The old owner may have named another one meanwhile and deleted this.
    if ((await log.lastSequence(partition)) === before) throw error;
    throw new PartitionContended(partition);
  }
}

async function readFrames(
  { log }: Storage,
  partition: number,
  before: number,
  checkpoint: StoredCheckpoint | undefined,
  reader: PartitionReader,
): Promise<void> {
  const from = (checkpoint?.stateFrameNo ?? 0) + 1;
  const tail = new RecoveryTail(from, checkpoint?.frameNo ?? 0);
  let frames: LogRecord[] = [];
  let bytes = 0;
  for await (const record of log.scan(partition, from)) {
    const finding = tail.take(record);
    // A hole that nobody else can have made is damage, and recovery says so.
    const isContended =
      finding === "hole" ? (await log.lastSequence(partition)) !== before : finding !== "follows";
    if (isContended) throw new PartitionContended(partition);
    frames.push(record);
    bytes += record.frame.length;
    if (bytes <= BATCH_BYTES) continue;
    reader.frames(frames);
    frames = [];
    bytes = 0;
  }
  reader.frames(frames);
}
