/**
 * One file of the log: a header block, commits, zeros. A segment is prepared (filled with zeros, so
 * that a commit changes neither size nor extents) before its header makes it usable.
 */
import { randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";
import { COMMIT_ALIGN_BYTES } from "./commit-codec.ts";
import { pageAligned, type SectorFlags } from "./direct-io.ts";
import { type FileSystem, writeFully } from "./file-system.ts";

export const SEGMENT_HEADER_BYTES = COMMIT_ALIGN_BYTES;

const MAGIC = Buffer.from("CAXTONLG", "latin1");
const NONCE_BYTES = 8;
const HEADER_USED_BYTES = 36;
const ZEROS = pageAligned(512 * 1024);
/** Made durable this much at a time: commits queue behind one piece at most, and each sync costs CPU. */
const ZEROS_SYNC_BYTES = 4 * 1024 * 1024;

export interface Segment {
  readonly number: number;
  readonly path: string;
  /** Read through this one, written in whole sectors through the other. */
  readonly fd: number;
  readonly writeFd: number;
  readonly bytes: number;
  /** Random, in every commit of the file: no other bytes, however old or clever, pass for one. */
  readonly nonce: Uint8Array;
  /** Reads under way; the file is released when it is retired and this is 0. */
  readers: number;
  retired: boolean;
}

export interface SegmentHeader {
  readonly number: number;
  readonly bytes: number;
  readonly nonce: Uint8Array;
}

export function segmentName(number: number): string {
  return `${String(number).padStart(10, "0")}.segment`;
}

/** The marker: an empty file whose name says which segments are trimmed. */
export function trimmedName(number: number): string {
  return `${String(number).padStart(10, "0")}.trimmed`;
}

export function parseLogFileName(
  name: string,
): { kind: "segment" | "trimmed"; number: number } | undefined {
  const match = /^(\d{10})\.(segment|trimmed)$/.exec(name);
  if (match === null) return undefined;
  return { kind: match[2] === "segment" ? "segment" : "trimmed", number: Number(match[1]) };
}

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const block = Buffer.from(pageAligned(SEGMENT_HEADER_BYTES).buffer, 0, SEGMENT_HEADER_BYTES);
  block.set(MAGIC, 0);
  block.writeBigUInt64LE(BigInt(header.number), 8);
  block.writeBigUInt64LE(BigInt(header.bytes), 16);
  block.set(header.nonce, 24);
  block.writeUInt32LE(crc32(block.subarray(0, 32)), 32);
  return block;
}

/** Undefined when the block is no intact header. */
export function decodeSegmentHeader(block: Buffer): SegmentHeader | undefined {
  if (block.length < SEGMENT_HEADER_BYTES || !block.subarray(0, 8).equals(MAGIC)) return undefined;
  if (block.readUInt32LE(32) !== crc32(block.subarray(0, 32))) return undefined;
  if (block.subarray(HEADER_USED_BYTES, SEGMENT_HEADER_BYTES).some((byte) => byte !== 0)) {
    return undefined;
  }
  return {
    number: Number(block.readBigUInt64LE(8)),
    bytes: Number(block.readBigUInt64LE(16)),
    nonce: Uint8Array.from(block.subarray(24, 24 + NONCE_BYTES)),
  };
}

/** Durably overwrites a range with zeros. False when told to stop before the end. */
export async function writeZeros(
  files: FileSystem,
  fd: number,
  range: { readonly from: number; readonly to: number },
  stopped: () => boolean = () => false,
): Promise<boolean> {
  for (let at = range.from; at < range.to; at += ZEROS.length) {
    if (stopped()) return false;
    const bytes = Math.min(ZEROS.length, range.to - at);
    await writeFully(files, fd, [ZEROS.subarray(0, bytes)], at);
    const isLast = at + bytes === range.to;
    if (isLast || (at + bytes - range.from) % ZEROS_SYNC_BYTES === 0) await files.datasync(fd);
  }
  return true;
}

/** Opens an existing file the two ways a segment needs. */
export async function openSegmentFile(
  files: FileSystem,
  path: string,
  flags: SectorFlags,
): Promise<Pick<Segment, "fd" | "writeFd">> {
  const fd = await files.open(path, "r+");
  return { fd, writeFd: await files.open(path, flags) };
}

export async function closeSegmentFile(
  files: FileSystem,
  { fd, writeFd }: Pick<Segment, "fd" | "writeFd">,
): Promise<void> {
  await files.close(fd);
  await files.close(writeFd);
}

/** Fills a file with zeros and makes it a segment. Undefined when told to stop before the end. */
export async function prepareSegment(
  files: FileSystem,
  file: Omit<Segment, "nonce" | "readers" | "retired">,
  stopped: () => boolean,
): Promise<Segment | undefined> {
  const { writeFd, number, bytes } = file;
  if (!(await writeZeros(files, writeFd, { from: 0, to: bytes }, stopped))) return undefined;
  const nonce = Uint8Array.from(randomBytes(NONCE_BYTES));
  await writeFully(files, writeFd, [encodeSegmentHeader({ number, bytes, nonce })], 0);
  await files.datasync(writeFd);
  return { ...file, nonce, readers: 0, retired: false };
}

/** The name of a segment that is not prepared yet; durable with the next sync of the directory. */
export async function createSegmentName(
  files: FileSystem,
  directory: string,
  number: number,
): Promise<void> {
  await files.close(await files.open(`${directory}/${segmentName(number)}`, "w"));
}
