/**
 * The bytes of one physical commit (docs/storage-format.md, "Embedded engine"):
 *
 *   header (40) | table (24 per record) | frames, back to back | zeros up to the next 512
 *
 * The header's CRC covers header and table; the table holds the CRC of every frame. So one number
 * vouches for the whole commit, and a single frame can be verified on its own.
 */
import { crc32 } from "node:zlib";

/** Commits start at multiples of this: a sector of an acked commit is never written again. */
export const COMMIT_ALIGN_BYTES = 512;
export const COMMIT_HEADER_BYTES = 40;
export const COMMIT_RECORD_BYTES = 24;
/** Keeps a commit's parts within one vectored write (IOV_MAX is 1024). */
export const COMMIT_RECORDS_MAX = 1000;

const MAGIC = 0x4d435843; // "CXCM"

/** A copy of an older frame, written again so that its segment can go. */
const FLAG_CARRIED = 1;

export interface CommitRecord {
  readonly partition: number;
  readonly sequence: number;
  readonly carried: boolean;
  readonly length: number;
  readonly crc: number;
}

export interface CommitHead {
  readonly number: number;
  /** CRC of the commit before this one; 0 for the first. */
  readonly previousCrc: number;
  readonly crc: number;
  /** Header, table and frames, without padding. */
  readonly bytes: number;
  readonly records: readonly CommitRecord[];
}

export function alignCommit(bytes: number): number {
  return Math.ceil(bytes / COMMIT_ALIGN_BYTES) * COMMIT_ALIGN_BYTES;
}

/** Bytes before the first frame. */
export function commitHeadBytes(records: number): number {
  return COMMIT_HEADER_BYTES + records * COMMIT_RECORD_BYTES;
}

/** Writes header and table into `into` and returns the commit's CRC. */
export function encodeCommitHead(
  into: Buffer,
  nonce: Uint8Array,
  commit: Omit<CommitHead, "crc">,
): number {
  const { records } = commit;
  into.writeUInt32LE(MAGIC, 0);
  into.set(nonce, 8);
  writeUInt64(into, commit.number, 16);
  into.writeUInt32LE(commit.previousCrc, 24);
  into.writeUInt32LE(records.length, 28);
  into.writeUInt32LE(commit.bytes, 32);
  into.writeUInt32LE(0, 36);
  let at = COMMIT_HEADER_BYTES;
  for (const record of records) {
    into.writeUInt32LE(record.partition, at);
    into.writeUInt32LE(record.carried ? FLAG_CARRIED : 0, at + 4);
    writeUInt64(into, record.sequence, at + 8);
    into.writeUInt32LE(record.length, at + 16);
    into.writeUInt32LE(record.crc, at + 20);
    at += COMMIT_RECORD_BYTES;
  }
  const crc = crc32(into.subarray(8, at));
  into.writeUInt32LE(crc, 4);
  return crc;
}

/**
 * The head of the commit at `at`, or undefined when there is no intact one. The frames are not
 * looked at: `framesIntact` does that.
 */
export function decodeCommitHead(
  from: Buffer,
  at: number,
  nonce: Uint8Array,
): CommitHead | undefined {
  if (at + COMMIT_HEADER_BYTES > from.length) return undefined;
  if (from.readUInt32LE(at) !== MAGIC) return undefined;
  if (from.compare(nonce, 0, nonce.length, at + 8, at + 8 + nonce.length) !== 0) return undefined;
  const count = from.readUInt32LE(at + 28);
  const bytes = from.readUInt32LE(at + 32);
  const headBytes = commitHeadBytes(count);
  if (count > COMMIT_RECORDS_MAX || bytes < headBytes || at + bytes > from.length) return undefined;
  const crc = from.readUInt32LE(at + 4);
  if (crc32(from.subarray(at + 8, at + headBytes)) !== crc) return undefined;

  const records: CommitRecord[] = [];
  for (let i = 0, entry = at + COMMIT_HEADER_BYTES; i < count; i++, entry += COMMIT_RECORD_BYTES) {
    records.push({
      partition: from.readUInt32LE(entry),
      carried: (from.readUInt32LE(entry + 4) & FLAG_CARRIED) !== 0,
      sequence: readUInt64(from, entry + 8),
      length: from.readUInt32LE(entry + 16),
      crc: from.readUInt32LE(entry + 20),
    });
  }
  return {
    number: readUInt64(from, at + 16),
    previousCrc: from.readUInt32LE(at + 24),
    crc,
    bytes,
    records,
  };
}

/** Whether every frame of the commit at `at` is what its table says. */
export function framesIntact(from: Buffer, at: number, head: CommitHead): boolean {
  let frameAt = at + commitHeadBytes(head.records.length);
  const end = at + head.bytes;
  for (const record of head.records) {
    const frameEnd = frameAt + record.length;
    if (frameEnd > end || crc32(from.subarray(frameAt, frameEnd)) !== record.crc) return false;
    frameAt = frameEnd;
  }
  return frameAt === end;
}

function writeUInt64(into: Buffer, value: number, at: number): void {
  into.writeUInt32LE(value % 2 ** 32, at);
  into.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4);
}

function readUInt64(from: Buffer, at: number): number {
  return from.readUInt32LE(at + 4) * 2 ** 32 + from.readUInt32LE(at);
}
