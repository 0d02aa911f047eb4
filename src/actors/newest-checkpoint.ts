/** Finds what a partition's recovery begins with. */
import { CaxtonError } from "../base/errors.ts";
import { readFrameHeader } from "../storage/frame-codec.ts";
import { checkpointOf } from "../storage/frame-entries.ts";
import type { CheckpointFields } from "../storage/frame-codec.ts";
import type { Blobs, Log } from "../storage/index.ts";

export interface StoredCheckpoint extends CheckpointFields {
  /** Of the frame that names it. */
  readonly frameNo: number;
  readonly content: Uint8Array<ArrayBuffer>;
}

/**
 * The newest frame, `lastSequence`, knows the frame that names the newest checkpoint. Undefined when there is none.
 */
export async function newestCheckpoint(
  log: Log,
  blobs: Blobs,
  partition: number,
  lastSequence: number,
): Promise<StoredCheckpoint | undefined> {
  const last = await newestActingFrame(log, partition, lastSequence);
  if (last === undefined) return undefined;
  const { checkpointFrameNo } = readFrameHeader(last);
  if (checkpointFrameNo === 0) return undefined;
  const naming = await frameAt(log, partition, checkpointFrameNo);
  const checkpoint = naming === undefined ? undefined : checkpointOf(naming);
  if (checkpoint === undefined) {
    const where = `partition ${String(partition)}, frame ${String(checkpointFrameNo)}`;
    throw new CaxtonError("STORAGE_CORRUPT", `The log names no checkpoint at ${where}.`);
  }
  const content = await blobs.get(checkpoint.sha256);
  if (content === undefined) {
    throw new CaxtonError(
      "STORAGE_CORRUPT",
      `The checkpoint of partition ${String(partition)} is missing: blob ${checkpoint.sha256}.`,
    );
  }
  return { ...checkpoint, frameNo: checkpointFrameNo, content: content as Uint8Array<ArrayBuffer> };
}

/** An epoch frame that landed elsewhere than it says knows only what its owner had read. */
async function newestActingFrame(
  log: Log,
  partition: number,
  lastSequence: number,
): Promise<Buffer | undefined> {
  for (let sequence = lastSequence; ; sequence--) {
    const frame = await frameAt(log, partition, sequence);
    if (frame === undefined || readFrameHeader(frame).frameNo === sequence) return frame;
  }
}

async function frameAt(log: Log, partition: number, sequence: number): Promise<Buffer | undefined> {
  if (sequence === 0) return undefined;
  for await (const record of log.scan(partition, sequence)) {
    if (record.sequence !== sequence) return undefined;
    const { frame } = record;
    return Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
  }
  return undefined;
}
