/**
 * Copies everything a node keeps from one storage to another, of the same engine or not.
 *
 * 1. The target must be empty; the identity record comes last, so that no node starts on half a copy.
 * 2. Frames keep their sequence numbers: frames and checkpoints refer to each other by them.
 * 3. Nothing is said to be copied before it was read back from the target and compared.
 */
import { createHash, type Hash } from "node:crypto";
import { CaxtonError } from "../base/errors.ts";
import { epochOfFrame } from "./frame-codec.ts";
import { NODE_RECORD, type Storage, type StoredRecord } from "./port.ts";

export interface CopyReport {
  readonly partitions: number;
  readonly frames: number;
  readonly frameBytes: number;
  readonly records: number;
  readonly blobs: number;
  readonly blobBytes: number;
}

export interface CopyOptions {
  readonly from: Storage;
  readonly to: Storage;
  /** Called after each part with what it is and how much of it is done. */
  readonly progress?: (what: string, done: number, of: number) => void;
}

/** Appends under way at once; each waits for the disk. */
const APPENDS_MAX = 64;

interface LogDigest {
  readonly first: number;
  readonly frames: number;
  readonly bytes: number;
  readonly sha256: string;
}

/** Rejects, with the target unfinished, when either side fails, or when the source changes meanwhile. */
export async function copyStorage(options: CopyOptions): Promise<CopyReport> {
  const { from, to } = options;
  const records = await from.records.list("");
  const partitions = await partitionsOf(from);
  await refuseUnlessEmpty(to, partitions);
  const blobs = await copyBlobs(options);
  const logs = await copyLogs(options, partitions);
  const isIdentity = ({ key }: StoredRecord): boolean => key === NODE_RECORD;
  await copyRecords(
    to,
    records.filter((record) => !isIdentity(record)),
  );
  await verifyLogs(to, logs);
  await verifyRecords(from, records, "The source changed while it was copied");
  await copyRecords(to, records.filter(isIdentity));
  await verifyRecords(to, records, "The target doesn't give back what was written");
  let frames = 0;
  let frameBytes = 0;
  for (const log of logs) {
    frames += log.frames;
    frameBytes += log.bytes;
  }
  return { partitions, frames, frameBytes, records: records.length, ...blobs };
}

/** How many partitions the data has. Rejects with INVALID_CONFIG when there is none. */
export async function partitionsOf({ records }: Storage): Promise<number> {
  const identity = await records.get(NODE_RECORD);
  if (identity === undefined) {
    const text = "The source holds no node's data; there is nothing to copy.";
    throw new CaxtonError("INVALID_CONFIG", text);
  }
  return (JSON.parse(Buffer.from(identity.value).toString()) as { partitions: number }).partitions;
}

async function refuseUnlessEmpty(to: Storage, partitions: number): Promise<void> {
  const found: string[] = [];
  const records = (await to.records.list("")).length;
  const blobs = (await to.blobs.list()).length;
  if (records > 0) found.push(`${records} records`);
  if (blobs > 0) found.push(`${blobs} blobs`);
  for (let partition = 0; partition < partitions; partition++) {
    const last = await to.log.lastSequence(partition);
    if (last > 0) found.push(`${last} frames in partition ${partition}`);
  }
  if (found.length === 0) return;
  const text = `The target is not empty: ${found.slice(0, 3).join(", ")}. Copy into an empty one.`;
  throw new CaxtonError("INVALID_CONFIG", text);
}

async function copyBlobs({
  from,
  to,
  progress,
}: CopyOptions): Promise<Pick<CopyReport, "blobs" | "blobBytes">> {
  const names = await from.blobs.list();
  let blobBytes = 0;
  for (const [done, sha256] of names.entries()) {
    // Both sides check content against the name.
    const content = await from.blobs.get(sha256);
    if (content === undefined) throw changed(`blob ${sha256} is gone`);
    blobBytes += content.length;
    await to.blobs.put(content);
    if ((await to.blobs.get(sha256)) === undefined) throw damaged(`blob ${sha256} is missing`);
    progress?.("blobs", done + 1, names.length);
  }
  return { blobs: names.length, blobBytes };
}

async function copyLogs(options: CopyOptions, partitions: number): Promise<LogDigest[]> {
  const digests: LogDigest[] = [];
  for (let partition = 0; partition < partitions; partition++) {
    digests.push(await copyLog(options, partition));
    options.progress?.("partitions", partition + 1, partitions);
  }
  for (const [partition, { first, frames }] of digests.entries()) {
    const last = await options.from.log.lastSequence(partition);
    if (last !== first + frames - 1) throw changed(`partition ${partition} grew to frame ${last}`);
  }
  return digests;
}

async function copyLog({ from, to }: CopyOptions, partition: number): Promise<LogDigest> {
  const hash = createHash("sha256");
  let first = 1;
  let frames = 0;
  let bytes = 0;
  let underWay: Promise<void>[] = [];
  for await (const { sequence, frame } of from.log.scan(partition, 1)) {
    if (frames === 0) {
      first = sequence;
      await to.log.beginAt(partition, first);
    }
    frames++;
    bytes += frame.length;
    addTo(hash, frame);
    underWay.push(append(to, partition, sequence, frame));
    if (underWay.length === APPENDS_MAX) {
      await Promise.all(underWay);
      underWay = [];
    }
  }
  await Promise.all(underWay);
  return { first, frames, bytes, sha256: hash.digest("hex") };
}

async function append(
  to: Storage,
  partition: number,
  sequence: number,
  frame: Uint8Array,
): Promise<void> {
  const outcome = await to.log.append(partition, sequence - 1, frame, epochOfFrame(frame));
  if (outcome.kind === "acked" && outcome.sequence === sequence) return;
  const what = outcome.kind === "unknown" ? outcome.cause : outcome.kind;
  throw new CaxtonError(
    "STORAGE_FAILED",
    `Frame ${sequence} of partition ${partition} was not copied: ${what}.`,
  );
}

async function copyRecords(to: Storage, records: readonly StoredRecord[]): Promise<void> {
  for (const { key, value } of records) {
    const written = await to.records.put(key, value, 0);
    if (written.kind !== "written") throw damaged(`record ${key} was there already`);
  }
}

async function verifyLogs(to: Storage, logs: readonly LogDigest[]): Promise<void> {
  for (const [partition, expected] of logs.entries()) {
    const hash = createHash("sha256");
    let next = expected.first;
    for await (const { sequence, frame } of to.log.scan(partition, 1)) {
      if (sequence !== next++)
        throw damaged(`frame ${sequence} of partition ${partition} is out of place`);
      addTo(hash, frame);
    }
    if (next !== expected.first + expected.frames || hash.digest("hex") !== expected.sha256) {
      throw damaged(`partition ${partition} is not what was written`);
    }
  }
}

async function verifyRecords(
  storage: Storage,
  expected: readonly StoredRecord[],
  otherwise: string,
): Promise<void> {
  const found = await storage.records.list("");
  const same =
    found.length === expected.length &&
    found.every(
      ({ key, value }, i) =>
        key === expected[i]!.key && Buffer.compare(value, expected[i]!.value) === 0,
    );
  if (!same) throw new CaxtonError("STORAGE_FAILED", `${otherwise}: its records differ.`);
}

/** Lengths too, so that no two logs have the same digest. */
function addTo(hash: Hash, frame: Uint8Array): void {
  hash.update(`${frame.length}:`).update(frame);
}

function changed(what: string): CaxtonError {
  return new CaxtonError("STORAGE_FAILED", `The source changed while it was copied: ${what}.`);
}

function damaged(what: string): CaxtonError {
  return new CaxtonError("STORAGE_FAILED", `The copy is not right: ${what}.`);
}
