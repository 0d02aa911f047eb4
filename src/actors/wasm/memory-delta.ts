/** What differs between two states of an instance's memory, and its form as a blob: docs/storage-format.md. */
import { CaxtonError } from "../../base/errors.ts";

/** i32 and the bits of f32 as numbers, i64 and the bits of f64 as bigints: a NaN keeps its bits. */
export type GlobalValue = number | bigint;

/** Memory and mutable globals of an instance between two turns. */
export interface MemoryImage {
  readonly pages: Buffer;
  readonly globals: readonly GlobalValue[];
}

export interface MemoryDelta {
  /** Size of the memory after it. */
  readonly memoryBytes: number;
  /** Where it differs: offset and length of rising ranges, alternating. */
  readonly ranges: Uint32Array;
  /** Their content, one after the other. */
  readonly content: Uint8Array;
  /** All of them. */
  readonly globals: readonly GlobalValue[];
}

/** Compared first, as blocks and then as pages: most of a memory does not change. */
const BLOCK_BYTES = 65_536;
const PAGE_BYTES = 4096;
const ZEROS = Buffer.alloc(BLOCK_BYTES);
const WORD_BYTES = 4;
/** Ranges closer than this are one: a range costs 8 bytes and a copy of its own. */
const GAP_BYTES_MAX = 32;

const MAGIC = 0x444d5843;
const VERSION = 2;
const HASH_BYTES = 32;
const AT_BASE = 8;
const AT_MEMORY_BYTES = AT_BASE + HASH_BYTES;
const AT_GLOBALS = AT_MEMORY_BYTES + 4;
const AT_RANGES = AT_GLOBALS + 4;
const HEADER_BYTES = AT_RANGES + 4;
const GLOBAL_BYTES = 12;

/** The base may be shorter: a memory grows with zeros. */
export function deltaOf(
  base: Buffer,
  memory: Buffer,
  globals: readonly GlobalValue[],
): MemoryDelta {
  const ranges = changedRanges(base, memory);
  const content = Buffer.alloc(contentBytes(ranges));
  copyRanges(ranges, memory, content, 0);
  return { memoryBytes: memory.length, ranges: Uint32Array.from(ranges), content, globals };
}

/** Offset and length, alternating, of where a memory differs from its base, to the word. */
function changedRanges(base: Buffer, memory: Buffer): number[] {
  const ranges: number[] = [];
  const words = wordsOf(memory);
  const known = wordsOf(base);
  let from = 0;
  let to = -Infinity;
  for (const page of changedPages(base, memory)) {
    const end = (page + PAGE_BYTES) / WORD_BYTES;
    for (let i = page / WORD_BYTES; i < end; i++) {
      if (words[i] === (i < known.length ? known[i] : 0)) continue;
      const at = i * WORD_BYTES;
      if (at - to > GAP_BYTES_MAX) {
        if (to > from) ranges.push(from, to - from);
        from = at;
      }
      to = at + WORD_BYTES;
    }
  }
  if (to > from) ranges.push(from, to - from);
  return ranges;
}

/** Where pages begin that differ. */
function changedPages(base: Buffer, memory: Buffer): number[] {
  const pages: number[] = [];
  for (let block = 0; block < memory.length; block += BLOCK_BYTES) {
    const known = block < base.length ? base.subarray(block, block + BLOCK_BYTES) : ZEROS;
    if (memory.compare(known, 0, BLOCK_BYTES, block, block + BLOCK_BYTES) === 0) continue;
    for (let at = 0; at < BLOCK_BYTES; at += PAGE_BYTES) {
      const from = block + at;
      const end = at + PAGE_BYTES;
      if (memory.compare(known, at, end, from, from + PAGE_BYTES) !== 0) pages.push(from);
    }
  }
  return pages;
}

/** A memory is its buffer from the first byte on, whole pages of it. */
function wordsOf({ buffer, byteOffset, length }: Buffer): Int32Array {
  return new Int32Array(buffer, byteOffset, length / WORD_BYTES);
}

function contentBytes(ranges: ArrayLike<number>): number {
  let bytes = 0;
  for (let i = 1; i < ranges.length; i += 2) bytes += ranges[i]!;
  return bytes;
}

/** Copies ranges of a memory, one after the other. */
function copyRanges(ranges: ArrayLike<number>, memory: Buffer, out: Buffer, at: number): void {
  for (let i = 0, to = at; i < ranges.length; i += 2) {
    const from = ranges[i]!;
    to += memory.copy(out, to, from, from + ranges[i + 1]!);
  }
}

/** Makes a memory as `source`, which is as long, touching only the pages that differ. */
export function copyChanges(source: Buffer, memory: Buffer): void {
  for (const from of changedPages(source, memory)) {
    source.copy(memory, from, from, from + PAGE_BYTES);
  }
}

/** Writes what differs into a memory that is as the base was, and long enough. */
export function writeDelta({ ranges, content }: MemoryDelta, memory: Buffer): void {
  for (let i = 0, at = 0; i < ranges.length; i += 2) {
    const bytes = ranges[i + 1]!;
    memory.set(content.subarray(at, at + bytes), ranges[i]);
    at += bytes;
  }
}

/** `base`: SHA-256 (hex) of the blob it is a difference to. */
export function encodeDelta(delta: MemoryDelta, base: string): Buffer {
  const { globals, ranges, content } = delta;
  const out = Buffer.alloc(headBytes(globals.length, ranges.length) + content.length);
  out.set(content, writeHead(out, delta.memoryBytes, globals, ranges, base));
  return out;
}

/**
 * Encodes differences of live memories without memory of its own for each: V8 collects its whole heap whenever
 * buffers of some 64 MB have come and gone.
 */
export class DeltaEncoder {
  private out = Buffer.alloc(BLOCK_BYTES);

  /** What leads from the base to a memory, as `encodeDelta` writes it. Valid until the next call. */
  encode(
    base: Buffer,
    memory: Buffer,
    globals: readonly GlobalValue[],
    baseSha256: string,
  ): Uint8Array {
    const ranges = changedRanges(base, memory);
    const bytes = headBytes(globals.length, ranges.length) + contentBytes(ranges);
    if (bytes > this.out.length) this.out = Buffer.alloc(Math.max(bytes, 2 * this.out.length));
    const at = writeHead(this.out, memory.length, globals, ranges, baseSha256);
    copyRanges(ranges, memory, this.out, at);
    return this.out.subarray(0, bytes);
  }
}

function headBytes(globals: number, rangeNumbers: number): number {
  return HEADER_BYTES + globals * GLOBAL_BYTES + rangeNumbers * 4;
}

/** Returns where the content goes. */
function writeHead(
  out: Buffer,
  memoryBytes: number,
  globals: readonly GlobalValue[],
  ranges: ArrayLike<number>,
  base: string,
): number {
  const tableAt = headBytes(globals.length, 0);
  out.writeUInt32LE(MAGIC, 0);
  out.writeUInt32LE(VERSION, 4);
  out.write(base, AT_BASE, "hex");
  out.writeUInt32LE(memoryBytes, AT_MEMORY_BYTES);
  out.writeUInt32LE(globals.length, AT_GLOBALS);
  out.writeUInt32LE(ranges.length / 2, AT_RANGES);
  globals.forEach((value, i) => {
    const at = HEADER_BYTES + i * GLOBAL_BYTES;
    out.writeUInt32LE(typeof value === "bigint" ? 8 : 4, at);
    out.writeBigInt64LE(BigInt.asIntN(64, BigInt(value)), at + 4);
  });
  for (let i = 0; i < ranges.length; i++) out.writeUInt32LE(ranges[i]!, tableAt + 4 * i);
  return tableAt + 4 * ranges.length;
}

/** Refuses bytes that are no difference to this base. */
export function decodeDelta(bytes: Uint8Array, base: string): MemoryDelta {
  const input = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const isDelta =
    input.length >= HEADER_BYTES &&
    input.readUInt32LE(0) === MAGIC &&
    input.readUInt32LE(4) === VERSION &&
    input.toString("hex", AT_BASE, AT_MEMORY_BYTES) === base;
  if (!isDelta) throw damaged(base);
  const globalCount = input.readUInt32LE(AT_GLOBALS);
  const numbers = 2 * input.readUInt32LE(AT_RANGES);
  const tableAt = headBytes(globalCount, 0);
  const contentAt = headBytes(globalCount, numbers);
  if (input.length < contentAt) throw damaged(base);
  const ranges = Uint32Array.from({ length: numbers }, (_, i) =>
    input.readUInt32LE(tableAt + 4 * i),
  );
  if (input.length !== contentAt + contentBytes(ranges)) throw damaged(base);
  const globals = Array.from({ length: globalCount }, (_, i) => {
    const at = HEADER_BYTES + i * GLOBAL_BYTES;
    const value = input.readBigInt64LE(at + 4);
    return input.readUInt32LE(at) === 8 ? value : Number(value);
  });
  return {
    memoryBytes: input.readUInt32LE(AT_MEMORY_BYTES),
    ranges,
    content: bytes.subarray(contentAt),
    globals,
  };
}

function damaged(base: string): CaxtonError {
  return new CaxtonError("STORAGE_CORRUPT", `A blob is no memory image that belongs to ${base}.`);
}
