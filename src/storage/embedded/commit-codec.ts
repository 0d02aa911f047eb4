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

/** Bytes of the head that begins here, or undefined when no commit does. */
export function commitHeadBytesAt(from: Buffer, nonce: Uint8Array): number | undefined {
  if (from.length < COMMIT_HEADER_BYTES || from.readUInt32LE(0) !== MAGIC) return undefined;
  if (from.compare(nonce, 0, nonce.length, 8, 8 + nonce.length) !== 0) return undefined;
  const count = from.readUInt32LE(28);
  return count > COMMIT_RECORDS_MAX ? undefined : commitHeadBytes(count);
}

/** The head in these bytes, or undefined when it is not intact. */
export function decodeCommitHead(from: Buffer): CommitHead | undefined {
  const crc = from.readUInt32LE(4);
  if (crc32(from.subarray(8)) !== crc) return undefined;
  const records: CommitRecord[] = [];
  for (let at = COMMIT_HEADER_BYTES; at < from.length; at += COMMIT_RECORD_BYTES) {
    records.push({
      partition: from.readUInt32LE(at),
      carried: (from.readUInt32LE(at + 4) & FLAG_CARRIED) !== 0,
      sequence: readUInt64(from, at + 8),
      length: from.readUInt32LE(at + 16),
      crc: from.readUInt32LE(at + 20),
    });
  }
  const number = readUInt64(from, 16);
  const previousCrc = from.readUInt32LE(24);
  return { number, previousCrc, crc, bytes: from.readUInt32LE(32), records };
}

/** Whether every frame of a commit is what its table says. */
export function framesIntact(commit: Buffer, head: CommitHead): boolean {
  let at = commitHeadBytes(head.records.length);
  for (const { length, crc } of head.records) {
    if (at + length > commit.length || crc32(commit.subarray(at, at + length)) !== crc)
      return false;
    at += length;
  }
  return at === head.bytes;
}

function writeUInt64(into: Buffer, value: number, at: number): void {
  into.writeUInt32LE(value % 2 ** 32, at);
  into.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4);
}

function readUInt64(from: Buffer, at: number): number {
  return from.readUInt32LE(at + 4) * 2 ** 32 + from.readUInt32LE(at);
}
