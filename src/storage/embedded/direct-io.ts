/**
 * Writing past the page cache (O_DIRECT): a log is read back seldom, and a page of the cache for every page
 * written costs more than the write (docs/adr/0008-log-past-the-page-cache.md).
 * The system asks for sectors: position, length and memory in multiples of 512.
 */
import { COMMIT_ALIGN_BYTES } from "./commit-codec.ts";
import { errorCodeOf, type FileSystem } from "./file-system.ts";

const WASM_PAGE_BYTES = 64 * 1024;

/** Zeroed memory that begins at a page; nothing else in JavaScript says where it begins. */
export function pageAligned(bytes: number): Uint8Array {
  const pages = Math.ceil(bytes / WASM_PAGE_BYTES);
  const { buffer } = new WebAssembly.Memory({ initial: pages, maximum: pages });
  return new Uint8Array(buffer, 0, bytes);
}

/** How segments are opened for writing whole sectors. */
export type SectorFlags = "direct" | "r+";

/** `direct` where the file system takes it, found out by reading a sector of a segment. */
export async function sectorFlags(files: FileSystem, segmentPath: string): Promise<SectorFlags> {
  let fd: number | undefined;
  try {
    fd = await files.open(segmentPath, "direct");
    await files.read(fd, pageAligned(COMMIT_ALIGN_BYTES), COMMIT_ALIGN_BYTES);
    return "direct";
  } catch (error) {
    // Memory and network file systems may not know it, and disks may have larger sectors.
    if (errorCodeOf(error) === "EINVAL" || errorCodeOf(error) === "EOPNOTSUPP") return "r+";
    throw error;
  } finally {
    if (fd !== undefined) await files.close(fd);
  }
}
