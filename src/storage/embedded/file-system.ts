/**
 * The calls the engine makes on files, as a port: tests put a failing disk behind it.
 * Everything durable goes through here, except what SQLite writes itself.
 */
import fs from "node:fs";
import { promisify } from "node:util";

export type OpenFlags = "r" | "r+" | "wx" | "w" | "direct";

export interface FileSystem {
  /** `direct`: for writing whole sectors past the page cache; like "r+" where the system knows no such thing. */
  open(path: string, flags: OpenFlags): Promise<number>;
  close(fd: number): Promise<void>;
  size(fd: number): Promise<number>;
  /** Bytes read; fewer than asked only at the end of the file. */
  read(fd: number, into: Uint8Array, position: number): Promise<number>;
  /** Bytes written. */
  write(fd: number, parts: readonly Uint8Array[], position: number): Promise<number>;
  truncate(fd: number, bytes: number): Promise<void>;
  /** fdatasync: content and what is needed to read it back. */
  datasync(fd: number): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  mkdir(path: string): Promise<void>;
  /** Names in a directory, sorted; empty when there is no such directory. */
  list(path: string): Promise<string[]>;
  exists(path: string): Promise<boolean>;
  /** Makes the names in a directory durable. */
  syncDirectory(path: string): Promise<void>;
}

const calls = {
  open: promisify(fs.open),
  close: promisify(fs.close),
  fstat: promisify(fs.fstat),
  ftruncate: promisify(fs.ftruncate),
  fdatasync: promisify(fs.fdatasync),
  fsync: promisify(fs.fsync),
  rename: promisify(fs.rename),
  unlink: promisify(fs.unlink),
  mkdir: promisify(fs.mkdir),
  readdir: promisify(fs.readdir),
  stat: promisify(fs.stat),
};

const { O_RDWR, O_DIRECT } = fs.constants as { O_RDWR: number; O_DIRECT: number | undefined };
const DIRECT = O_RDWR | (O_DIRECT ?? 0);

export const nodeFileSystem: FileSystem = {
  open: (path, flags) => calls.open(path, flags === "direct" ? DIRECT : flags, 0o600),
  close: (fd) => calls.close(fd),
  size: async (fd) => (await calls.fstat(fd)).size,
  async read(fd, into, position) {
    let done = 0;
    while (done < into.length) {
      const bytes = await readOnce(fd, into, done, position + done);
      if (bytes === 0) break;
      done += bytes;
    }
    return done;
  },
  write: (fd, parts, position) =>
    new Promise((resolve, reject) => {
      fs.writev(fd, parts, position, (error, bytes) => {
        if (error) reject(error);
        else resolve(bytes);
      });
    }),
  truncate: (fd, bytes) => calls.ftruncate(fd, bytes),
  datasync: (fd) => calls.fdatasync(fd),
  rename: (from, to) => calls.rename(from, to),
  unlink: (path) => calls.unlink(path),
  mkdir: async (path) => {
    await calls.mkdir(path, { recursive: true, mode: 0o700 });
  },
  async list(path) {
    try {
      return (await calls.readdir(path)).sort();
    } catch (error) {
      if (errorCodeOf(error) === "ENOENT") return [];
      throw error;
    }
  },
  async exists(path) {
    try {
      await calls.stat(path);
      return true;
    } catch (error) {
      if (errorCodeOf(error) === "ENOENT") return false;
      throw error;
    }
  },
  async syncDirectory(path) {
    const fd = await calls.open(path, "r");
    try {
      await calls.fsync(fd);
    } finally {
      await calls.close(fd);
    }
  },
};

function readOnce(fd: number, into: Uint8Array, offset: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.read(fd, into, offset, into.length - offset, position, (error, bytes) => {
      if (error) reject(error);
      else resolve(bytes);
    });
  });
}

/** The system's name of an error ("ENOSPC"), or undefined. */
export function errorCodeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}

/** The disk or the quota is full: a state that passes. */
export function isWantOfSpace(error: unknown): boolean {
  const code = errorCodeOf(error);
  return code === "ENOSPC" || code === "EDQUOT";
}

/** Writes all parts or throws: on a local file a short write means the disk would not take more. */
export async function writeFully(
  files: FileSystem,
  fd: number,
  parts: readonly Uint8Array[],
  position: number,
): Promise<void> {
  let expected = 0;
  for (const part of parts) expected += part.length;
  const written = await files.write(fd, parts, position);
  if (written !== expected) {
    throw new Error(`short write: ${written} of ${expected} bytes at ${position}`);
  }
}

/** The whole file, or undefined when there is none. */
export async function readFileIfPresent(
  files: FileSystem,
  path: string,
): Promise<Uint8Array | undefined> {
  let fd: number;
  try {
    fd = await files.open(path, "r");
  } catch (error) {
    if (errorCodeOf(error) === "ENOENT") return undefined;
    throw error;
  }
  try {
    const content = new Uint8Array(await files.size(fd));
    const bytes = await files.read(fd, content, 0);
    return content.subarray(0, bytes);
  } finally {
    await files.close(fd);
  }
}

/** Durably puts a file in place: readers see the old file, no file, or all of the new one. */
export async function writeFileDurably(
  files: FileSystem,
  place: { readonly directory: string; readonly name: string; readonly temporary: string },
  content: Uint8Array,
): Promise<void> {
  const fd = await files.open(place.temporary, "w");
  try {
    await writeFully(files, fd, [content], 0);
    await files.datasync(fd);
  } finally {
    await files.close(fd);
  }
  await files.rename(place.temporary, `${place.directory}/${place.name}`);
  await files.syncDirectory(place.directory);
}
