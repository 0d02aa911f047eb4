/** Temporary directories, small storages and disks that fail on demand. */
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { type FileSystem, nodeFileSystem } from "../../src/storage/embedded/file-system.ts";
import {
  type EmbeddedStorageOptions,
  openEmbeddedStorage,
  type Storage,
} from "../../src/storage/index.ts";
import { frameOf } from "./frames.ts";

export const SMALL_SEGMENT_BYTES = 16 * 1024;

export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "caxton-storage-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** A storage of small segments, closed when the test ends. */
export async function openSmall(
  directory: string,
  options: Partial<EmbeddedStorageOptions> = {},
): Promise<Storage> {
  const storage = await openEmbeddedStorage({
    directory,
    segmentBytes: SMALL_SEGMENT_BYTES,
    sizeBytesMax: 64 * SMALL_SEGMENT_BYTES,
    ...options,
  });
  onTestFinished(() => storage.close().catch(() => undefined));
  return storage;
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** Appends and insists on the acknowledgement. */
export async function acked(
  storage: Storage,
  partition: number,
  frame: Uint8Array,
): Promise<number> {
  const outcome = await storage.log.append(partition, null, frame, 1);
  if (outcome.kind !== "acked") throw new Error(`append: ${outcome.kind}`);
  return outcome.sequence;
}

/** Appends frames of that size until the log takes no more of them; gives the last sequence. */
export async function fillLog(
  { log }: Storage,
  partition: number,
  bytes: number,
  epoch = 1,
): Promise<number> {
  for (let sequence = await log.lastSequence(partition); ; sequence++) {
    const code = await codeOf(log.append(partition, sequence, frameOf("f", bytes), epoch));
    if (code !== "resolved") {
      expect(code).toBe("STORAGE_FULL");
      return sequence;
    }
  }
}

export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "resolved";
  } catch (error) {
    return error instanceof Error && "code" in error ? String(error.code) : String(error);
  }
}

export async function messageOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "resolved";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Path -> hash of every file, to tell whether anything changed. */
export async function fingerprint(directory: string): Promise<Record<string, string>> {
  const prints: Record<string, string> = {};
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) {
      prints[path] = createHash("sha256")
        .update(await readFile(path))
        .digest("hex");
    } else prints[path] = "directory";
  }
  return prints;
}

export interface Call {
  readonly name: keyof FileSystem;
  /** 1 for the first call of all. */
  readonly count: number;
  readonly path: string;
}

/** The real file system, except that calls for which `verdict` gives an error fail with it. */
export function failingFileSystem(verdict: (call: Call) => Error | undefined): FileSystem {
  const paths = new Map<number, string>();
  let count = 0;
  const call = async <T>(
    name: keyof FileSystem,
    path: string,
    run: () => Promise<T>,
  ): Promise<T> => {
    count += 1;
    const error = verdict({ name, count, path });
    if (error !== undefined) throw error;
    return run();
  };
  const pathOf = (fd: number): string => paths.get(fd) ?? "";
  const real = nodeFileSystem;
  return {
    open: (path, flags) =>
      call("open", path, async () => {
        const fd = await real.open(path, flags);
        paths.set(fd, path);
        return fd;
      }),
    close: (fd) => call("close", pathOf(fd), () => real.close(fd)),
    size: (fd) => call("size", pathOf(fd), () => real.size(fd)),
    read: (fd, into, at) => call("read", pathOf(fd), () => real.read(fd, into, at)),
    write: (fd, parts, at) => call("write", pathOf(fd), () => real.write(fd, parts, at)),
    truncate: (fd, bytes) => call("truncate", pathOf(fd), () => real.truncate(fd, bytes)),
    datasync: (fd) => call("datasync", pathOf(fd), () => real.datasync(fd)),
    rename: (from, to) => call("rename", from, () => real.rename(from, to)),
    unlink: (path) => call("unlink", path, () => real.unlink(path)),
    mkdir: (path) => call("mkdir", path, () => real.mkdir(path)),
    list: (path) => call("list", path, () => real.list(path)),
    exists: (path) => call("exists", path, () => real.exists(path)),
    syncDirectory: (path) => call("syncDirectory", path, () => real.syncDirectory(path)),
  };
}

export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: made for a test`), { code });
}
