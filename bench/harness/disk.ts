/** The disk under the benchmarks: a place of our own on it, and what a write costs there. */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { atExit } from "./at-exit.ts";

const FILE_SYSTEMS = new Map([
  [0x01021994, "tmpfs"],
  [0x858458f6, "ramfs"],
  [0xef53, "ext4"],
  [0x58465342, "xfs"],
  [0x9123683e, "btrfs"],
  [0x794c7630, "overlayfs"],
  [0x2fc12fc1, "zfs"],
  [0x6969, "nfs"],
]);
const IN_MEMORY = new Set(["tmpfs", "ramfs"]);
const FILL_BYTES = 1024 * 1024;

export async function fileSystemOf(directory: string): Promise<string> {
  const { type } = await statfs(directory);
  return FILE_SYSTEMS.get(type) ?? `0x${type.toString(16)}`;
}

/** Runs `work` in a new directory that goes afterwards. Refuses memory: a sync there costs nothing. */
export async function withScratch<T>(
  parent: string,
  work: (directory: string) => Promise<T>,
): Promise<T> {
  const type = await fileSystemOf(parent);
  if (IN_MEMORY.has(type)) {
    throw new Error(`${parent} is ${type}, which is no disk; name another with --directory`);
  }
  const directory = mkdtempSync(join(parent, "caxton-bench-"));
  const remove = (): void => rmSync(directory, { recursive: true, force: true });
  const isRemoved = atExit(remove);
  try {
    return await work(directory);
  } finally {
    remove();
    isRemoved();
  }
}

/** A file of zeros, durable: writes into it change neither its size nor its extents. */
export function preallocate(path: string, bytes: number): void {
  const zeros = Buffer.alloc(FILL_BYTES);
  const fd = openSync(path, "w");
  for (let at = 0; at < bytes; at += FILL_BYTES) writeSync(fd, zeros, 0, zeros.length, at);
  fdatasyncSync(fd);
  closeSync(fd);
}

/** Appends to a preallocated file, from its start again when it is full. */
export class AppendFile {
  readonly #fd: number;
  readonly #bytes: number;
  #position = 0;

  constructor(path: string, bytes: number) {
    preallocate(path, bytes);
    this.#fd = openSync(path, "r+");
    this.#bytes = bytes;
  }

  /** Milliseconds the write and its fdatasync took. */
  append(content: Uint8Array): number {
    if (this.#position + content.length > this.#bytes) this.#position = 0;
    const start = performance.now();
    writeSync(this.#fd, content, 0, content.length, this.#position);
    fdatasyncSync(this.#fd);
    this.#position += content.length;
    return performance.now() - start;
  }

  close(): void {
    closeSync(this.#fd);
  }
}
