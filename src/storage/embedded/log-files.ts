/** Makes the files of a log, and brings those of an existing one in order before it is written. */
import type { SectorFlags } from "./direct-io.ts";
import type { FileSystem } from "./file-system.ts";
import type { RecoveredLog } from "./log-recovery.ts";
import {
  createSegmentName,
  openSegmentFile,
  prepareSegment,
  type Segment,
  segmentName,
  trimmedName,
  writeZeros,
} from "./segment-file.ts";

export interface LogFiles {
  /** In use, oldest first. */
  readonly segments: readonly Segment[];
  /** Prepared and empty. */
  readonly ready: readonly Segment[];
  /** Number of the newest name, whose file is empty. */
  readonly nextNumber: number;
  /** All files together. */
  readonly bytes: number;
}

/** A new log: the first segment, the name of the second and the marker, all there or nothing. */
export async function createLog(
  files: FileSystem,
  directory: string,
  segmentBytes: number,
): Promise<void> {
  const temporary = `${directory}.tmp`;
  await files.mkdir(temporary);
  for (const name of await files.list(temporary)) await files.unlink(`${temporary}/${name}`);
  const path = `${temporary}/${segmentName(1)}`;
  const fd = await files.open(path, "wx");
  try {
    const first = { fd, writeFd: fd, path, number: 1, bytes: segmentBytes };
    await prepareSegment(files, first, () => false);
  } finally {
    await files.close(fd);
  }
  await createSegmentName(files, temporary, 2);
  await files.close(await files.open(`${temporary}/${trimmedName(0)}`, "wx"));
  await files.syncDirectory(temporary);
  await files.rename(temporary, directory);
}

/** Cuts the torn tail, finishes what a crash interrupted, and opens the segments for writing. */
export async function openLogFiles(
  files: FileSystem,
  directory: string,
  recovered: RecoveredLog,
  flags: SectorFlags,
): Promise<LogFiles> {
  const { torn, end } = recovered;
  let bytesInAll = 0;
  for (const name of recovered.leftovers) await files.unlink(`${directory}/${name}`);
  const opened: Segment[] = [];
  for (const { number, bytes, nonce, fileBytes } of recovered.segments) {
    const path = `${directory}/${segmentName(number)}`;
    const { fd, writeFd } = await openSegmentFile(files, path, flags);
    if (torn?.segment === number) await writeZeros(files, fd, torn);
    await writeZeros(files, fd, { from: fileBytes, to: bytes });
    bytesInAll += bytes;
    opened.push({ number, path, fd, writeFd, bytes, nonce, readers: 0, retired: false });
  }
  const nextNumber = recovered.unprepared ?? (opened.at(-1)?.number ?? 0) + 1;
  await createSegmentName(files, directory, nextNumber);
  await files.syncDirectory(directory);
  const segments = opened.filter((segment) => segment.number <= end.segment);
  const ready = opened.filter((segment) => segment.number > end.segment);
  return { segments, ready, nextNumber, bytes: bytesInAll };
}
