/**
 * Memory of an instance as what differs from its template: changed pages and all mutable globals. Pages here are
 * of 4 KiB; docs/storage-format.md has the layout.
 */
import { BinaryReader, BinaryWriter } from "../../base/binary.ts";

const PAGE_BYTES = 4096;
/** Compared at once first: most of a memory has not changed. */
const BLOCK_BYTES = 16 * PAGE_BYTES;
const GLOBAL_NUMBER = 0;
const GLOBAL_BIGINT = 1;

export interface MemorySnapshot {
  readonly memoryBytes: number;
  readonly globals: readonly unknown[];
  readonly pages: readonly { readonly at: number; readonly bytes: Buffer }[];
}

/** `template` may be shorter: what is beyond it counts as zeros. */
export function encodeMemory(
  memory: Buffer,
  globals: readonly unknown[],
  template: Buffer,
): Buffer {
  const writer = new BinaryWriter();
  writer.u32(memory.length);
  writer.list(globals, (value) => {
    if (typeof value === "bigint") {
      writer.u8(GLOBAL_BIGINT);
      writer.u64(BigInt.asUintN(64, value));
    } else {
      writer.u8(GLOBAL_NUMBER);
      writer.f64(value as number);
    }
  });
  writer.list(changedPages(memory, template), (at) => {
    writer.u32(at);
    writer.raw(memory.subarray(at, at + PAGE_BYTES));
  });
  return writer.finish();
}

const ZEROS = Buffer.alloc(BLOCK_BYTES);

function* changedPages(memory: Buffer, template: Buffer): Generator<number> {
  for (let block = 0; block < memory.length; block += BLOCK_BYTES) {
    if (isSame(memory, template, block, BLOCK_BYTES)) continue;
    for (let at = block; at < block + BLOCK_BYTES; at += PAGE_BYTES) {
      if (!isSame(memory, template, at, PAGE_BYTES)) yield at;
    }
  }
}

/** Memories are whole multiples of blocks. */
function isSame(memory: Buffer, template: Buffer, at: number, bytes: number): boolean {
  return at < template.length
    ? memory.compare(template, at, at + bytes, at, at + bytes) === 0
    : memory.compare(ZEROS, 0, bytes, at, at + bytes) === 0;
}

export function decodeMemory(snapshot: Buffer): MemorySnapshot {
  const reader = new BinaryReader(snapshot);
  const memoryBytes = reader.u32();
  const globals = reader.list(() =>
    reader.u8() === GLOBAL_BIGINT ? BigInt.asIntN(64, reader.u64()) : reader.f64(),
  );
  const pages = reader.list(() => ({ at: reader.u32(), bytes: reader.raw(PAGE_BYTES) }));
  reader.end();
  return { memoryBytes, globals, pages };
}
