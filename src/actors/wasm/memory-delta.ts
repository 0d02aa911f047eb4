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
  /** Rising numbers of the pages that differ. */
  readonly pageNumbers: Uint32Array;
  /** Their content, one after the other. */
  readonly pages: Uint8Array;
  /** All of them. */
  readonly globals: readonly GlobalValue[];
}

const DELTA_PAGE_BYTES = 4096;
/** Looked at first: most of a memory does not change. */
const BLOCK_BYTES = 65_536;
const ZEROS = Buffer.alloc(BLOCK_BYTES);

const MAGIC = 0x444d5843;
const VERSION = 1;
const HASH_BYTES = 32;
const AT_BASE = 8;
const AT_MEMORY_BYTES = AT_BASE + HASH_BYTES;
const AT_GLOBALS = AT_MEMORY_BYTES + 4;
const AT_PAGES = AT_GLOBALS + 4;
const HEADER_BYTES = AT_PAGES + 4;
const GLOBAL_BYTES = 12;

/** The base may be shorter: a memory grows with zeros. */
export function deltaOf(
  base: Buffer,
  memory: Buffer,
  globals: readonly GlobalValue[],
): MemoryDelta {
  const numbers = changedPages(base, memory);
  const pages = Buffer.alloc(numbers.length * DELTA_PAGE_BYTES);
  numbers.forEach((number, i) => {
    const from = number * DELTA_PAGE_BYTES;
    memory.copy(pages, i * DELTA_PAGE_BYTES, from, from + DELTA_PAGE_BYTES);
  });
  return { memoryBytes: memory.length, pageNumbers: Uint32Array.from(numbers), pages, globals };
}

/** Numbers of the pages in which a memory differs from its base. */
function changedPages(base: Buffer, memory: Buffer): number[] {
  const numbers: number[] = [];
  for (let block = 0; block < memory.length; block += BLOCK_BYTES) {
    const known = block < base.length ? base.subarray(block, block + BLOCK_BYTES) : ZEROS;
    if (memory.compare(known, 0, BLOCK_BYTES, block, block + BLOCK_BYTES) === 0) continue;
    for (let at = 0; at < BLOCK_BYTES; at += DELTA_PAGE_BYTES) {
      const from = block + at;
      const end = at + DELTA_PAGE_BYTES;
      if (memory.compare(known, at, end, from, from + DELTA_PAGE_BYTES) !== 0) {
        numbers.push(from / DELTA_PAGE_BYTES);
      }
    }
  }
  return numbers;
}

/** Makes a memory as `source`, which is as long, touching only the pages that differ. */
export function copyChanges(source: Buffer, memory: Buffer): void {
  for (const number of changedPages(source, memory)) {
    const from = number * DELTA_PAGE_BYTES;
    source.copy(memory, from, from, from + DELTA_PAGE_BYTES);
  }
}

/** Writes the pages that differ into a memory that is as the base was, and long enough. */
export function writeDelta(delta: MemoryDelta, memory: Buffer): void {
  const { pageNumbers, pages } = delta;
  for (let i = 0; i < pageNumbers.length; i++) {
    const from = i * DELTA_PAGE_BYTES;
    memory.set(pages.subarray(from, from + DELTA_PAGE_BYTES), pageNumbers[i]! * DELTA_PAGE_BYTES);
  }
}

/** `base`: SHA-256 (hex) of the blob it is a difference to. */
export function encodeDelta(delta: MemoryDelta, base: string): Buffer {
  const { globals, pageNumbers, pages } = delta;
  const out = Buffer.alloc(encodedBytes(globals.length, pageNumbers.length));
  const pagesAt = writeHead(out, delta.memoryBytes, globals, pageNumbers, base);
  out.set(pages, pagesAt);
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
    const numbers = changedPages(base, memory);
    const bytes = encodedBytes(globals.length, numbers.length);
    if (bytes > this.out.length) this.out = Buffer.alloc(Math.max(bytes, 2 * this.out.length));
    let at = writeHead(this.out, memory.length, globals, numbers, baseSha256);
    for (const number of numbers) {
      const from = number * DELTA_PAGE_BYTES;
      at += memory.copy(this.out, at, from, from + DELTA_PAGE_BYTES);
    }
    return this.out.subarray(0, bytes);
  }
}

function encodedBytes(globals: number, pages: number): number {
  return HEADER_BYTES + globals * GLOBAL_BYTES + pages * (4 + DELTA_PAGE_BYTES);
}

/** Returns where the pages go. */
function writeHead(
  out: Buffer,
  memoryBytes: number,
  globals: readonly GlobalValue[],
  pageNumbers: Uint32Array | readonly number[],
  base: string,
): number {
  const tableAt = HEADER_BYTES + globals.length * GLOBAL_BYTES;
  out.writeUInt32LE(MAGIC, 0);
  out.writeUInt32LE(VERSION, 4);
  out.write(base, AT_BASE, "hex");
  out.writeUInt32LE(memoryBytes, AT_MEMORY_BYTES);
  out.writeUInt32LE(globals.length, AT_GLOBALS);
  out.writeUInt32LE(pageNumbers.length, AT_PAGES);
  globals.forEach((value, i) => {
    const at = HEADER_BYTES + i * GLOBAL_BYTES;
    out.writeUInt32LE(typeof value === "bigint" ? 8 : 4, at);
    out.writeBigInt64LE(BigInt.asIntN(64, BigInt(value)), at + 4);
  });
  pageNumbers.forEach((number, i) => out.writeUInt32LE(number, tableAt + 4 * i));
  return tableAt + 4 * pageNumbers.length;
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
  const pageCount = input.readUInt32LE(AT_PAGES);
  const tableAt = HEADER_BYTES + globalCount * GLOBAL_BYTES;
  const pagesAt = tableAt + 4 * pageCount;
  if (input.length !== pagesAt + pageCount * DELTA_PAGE_BYTES) throw damaged(base);
  const globals = Array.from({ length: globalCount }, (_, i) => {
    const at = HEADER_BYTES + i * GLOBAL_BYTES;
    const value = input.readBigInt64LE(at + 4);
    return input.readUInt32LE(at) === 8 ? value : Number(value);
  });
  return {
    memoryBytes: input.readUInt32LE(AT_MEMORY_BYTES),
    pageNumbers: Uint32Array.from({ length: pageCount }, (_, i) =>
      input.readUInt32LE(tableAt + 4 * i),
    ),
    pages: bytes.subarray(pagesAt),
    globals,
  };
}

function damaged(base: string): CaxtonError {
  return new CaxtonError("STORAGE_CORRUPT", `A blob is no memory image that belongs to ${base}.`);
}
