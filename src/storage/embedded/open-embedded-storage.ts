/** Opens a data directory, or makes one; everything that may refuse happens before any change. */
import { dirname, resolve } from "node:path";
import { CaxtonError, ensureError } from "../../base/errors.ts";
import type { Storage } from "../port.ts";
import { BlobStore, removeUnfinishedBlobs } from "./blob-store.ts";
import { COMMIT_ALIGN_BYTES, commitHeadBytes } from "./commit-codec.ts";
import {
  checkFormat,
  readCleanMark,
  removeCleanMark,
  writeCleanMark,
  writeFormat,
} from "./data-directory.ts";
import { sectorFlags } from "./direct-io.ts";
import { lockDirectory } from "./directory-lock.ts";
import { EmbeddedLog } from "./embedded-log.ts";
import { errorCodeOf, type FileSystem, isWantOfSpace, nodeFileSystem } from "./file-system.ts";
import { createLog, openLogFiles } from "./log-files.ts";
import { corrupt, type RecoveredLog, recoverLog } from "./log-recovery.ts";
import { RecordStore } from "./record-store.ts";
import { SEGMENT_HEADER_BYTES, segmentName } from "./segment-file.ts";
import { SegmentStore } from "./segment-store.ts";
import { SegmentSupply } from "./segment-supply.ts";
import { WriteGate } from "../write-gate.ts";

export interface EmbeddedStorageOptions {
  readonly directory: string;
  /** What the log may take on disk. Records and blobs come on top. */
  readonly sizeBytesMax: number;
  /** Default: an eighth of `sizeBytesMax`, at least 2 MiB, at most 64 MiB. */
  readonly segmentBytes?: number;
  /** Called once, when a failed write or sync stopped all writes. */
  readonly onFailed?: (error: CaxtonError) => void;
  /** Called at named moments, so that tests of crashes can end the process there. */
  readonly faultPoint?: (name: string) => void;
  readonly fileSystem?: FileSystem;
}

const SEGMENT_BYTES_MAX = 64 * 1024 * 1024;
/** A frame of 1 MiB fits with room for the next. */
const SEGMENT_BYTES_MIN = 2 * 1024 * 1024;
/** One being written, one made ready, one to make room with. */
const SEGMENTS_MIN = 3;
/** What an interrupted making of the directory may have left. */
const MADE_BEFORE_FORMAT = /^(lock\.db|records\.db(-wal|-shm)?|log(\.tmp)?|blobs|FORMAT\.tmp)$/;

interface Settings {
  readonly files: FileSystem;
  readonly directory: string;
  readonly bytesMax: number;
  readonly segmentBytes: number;
  readonly onFailed: (error: CaxtonError) => void;
  readonly faultPoint: (name: string) => void;
}

export async function openEmbeddedStorage(options: EmbeddedStorageOptions): Promise<Storage> {
  const settings = settingsOf(options);
  const { files, directory } = settings;
  try {
    if (!(await checkFormat(files, directory))) {
      await files.mkdir(directory);
      await files.syncDirectory(dirname(directory));
    }
    return await openLocked(settings, lockDirectory(directory));
  } catch (error) {
    throw error instanceof CaxtonError ? error : openError(directory, error);
  }
}

async function openLocked(settings: Settings, unlock: () => void): Promise<Storage> {
  try {
    // Another process may have made it meanwhile.
    const created = !(await checkFormat(settings.files, settings.directory));
    if (created) await createData(settings);
    return await openData(settings, created, unlock);
  } catch (error) {
    unlock();
    throw error;
  }
}

function openError(directory: string, cause: unknown): CaxtonError {
  if (isWantOfSpace(cause)) {
    return new CaxtonError("STORAGE_FULL", `No room in ${directory}.`, { cause });
  }
  const text = `storage.directory ${directory} can't be used: ${ensureError(cause).message}`;
  return new CaxtonError(errorCodeOf(cause) === "EIO" ? "STORAGE_FAILED" : "INVALID_CONFIG", text, {
    cause,
  });
}

function settingsOf(options: EmbeddedStorageOptions): Settings {
  const bytesMax = options.sizeBytesMax;
  const eighth = Math.floor(bytesMax / 8 / COMMIT_ALIGN_BYTES) * COMMIT_ALIGN_BYTES;
  const segmentBytes =
    options.segmentBytes ?? Math.min(Math.max(eighth, SEGMENT_BYTES_MIN), SEGMENT_BYTES_MAX);
  if (segmentBytes % COMMIT_ALIGN_BYTES !== 0 || segmentBytes < 8 * COMMIT_ALIGN_BYTES) {
    const text = `segmentBytes must be a multiple of ${COMMIT_ALIGN_BYTES}, at least eight of them.`;
    throw new CaxtonError("INVALID_CONFIG", text);
  }
  if (!(bytesMax >= segmentBytes * SEGMENTS_MIN)) {
    const text = `storage.sizeBytesMax must be at least ${segmentBytes * SEGMENTS_MIN}.`;
    throw new CaxtonError("INVALID_CONFIG", text);
  }
  return {
    files: options.fileSystem ?? nodeFileSystem,
    directory: resolve(options.directory),
    bytesMax,
    segmentBytes,
    onFailed: options.onFailed ?? (() => undefined),
    faultPoint: options.faultPoint ?? (() => undefined),
  };
}

/** Makes everything a data directory holds; `FORMAT`, the last, says that it is complete. */
async function createData({ files, directory, segmentBytes }: Settings): Promise<void> {
  for (const name of await files.list(directory)) {
    if (MADE_BEFORE_FORMAT.test(name)) continue;
    const text = `${directory} holds "${name}" and is no data directory; name an empty one.`;
    throw new CaxtonError("INVALID_CONFIG", text);
  }
  if (!(await files.exists(logDirectory(directory)))) {
    await createLog(files, logDirectory(directory), segmentBytes);
  }
  const missing = corrupt(`${directory}/FORMAT`, 0, "missing, though the directory holds data");
  const { end, torn } = await recoverLog(files, logDirectory(directory));
  if (end.commit > 0 || torn !== undefined) throw missing;
  const gate = new WriteGate(() => undefined);
  const records = new RecordStore(recordsPath(directory), gate, () => undefined);
  const used = !records.isEmpty();
  records.close();
  if (used) throw missing;
  await files.mkdir(`${blobDirectory(directory)}/tmp`);
  await files.syncDirectory(blobDirectory(directory));
  await files.syncDirectory(directory);
  await writeFormat(files, directory);
}

async function openData(
  settings: Settings,
  created: boolean,
  unlock: () => void,
): Promise<Storage> {
  const { files, directory, bytesMax, segmentBytes, faultPoint } = settings;
  const recovered = await recoverLog(files, logDirectory(directory));
  if (recovered.segments.length === 0) {
    throw corrupt(logDirectory(directory), 0, "the log has no segment");
  }
  const clean = created || (await wasStoppedCleanly(files, directory, recovered));
  for (const path of [recordsPath(directory), `${blobDirectory(directory)}/tmp`]) {
    if (!(await files.exists(path))) throw corrupt(path, 0, "missing");
  }
  const gate = new WriteGate(settings.onFailed);
  const records = new RecordStore(recordsPath(directory), gate, faultPoint);
  try {
    // Up to here nothing was changed.
    if (clean) await removeCleanMark(files, directory);
    await removeUnfinishedBlobs(files, blobDirectory(directory));
    const segmentPath = `${logDirectory(directory)}/${segmentName(recovered.end.segment)}`;
    const flags = await sectorFlags(files, segmentPath);
    const logFiles = await openLogFiles(files, logDirectory(directory), recovered, flags);
    const supply = new SegmentSupply(
      { files, directory: logDirectory(directory), segmentBytes, bytesMax, flags, gate },
      logFiles,
    );
    supply.prepare();
    const segments = new SegmentStore(files, logDirectory(directory), supply, logFiles.segments);
    const { index, end, torn } = recovered;
    const frameBytesMax = frameBytesMaxOf(segmentBytes);
    const log = new EmbeddedLog(
      { files, index, segments, end, frameBytesMax, faultPoint, gate },
      bytesMax,
    );
    const blobs = new BlobStore(files, blobDirectory(directory), gate);
    const close = async (): Promise<void> => {
      gate.close();
      try {
        await blobs.close();
        const logEnd = await log.close();
        records.close();
        if (!gate.failed) await writeCleanMark(files, directory, logEnd);
      } finally {
        unlock();
      }
    };
    let closing: Promise<void> | undefined;
    return {
      engine: "embedded",
      durability: { profile: "durable", isVerified: true },
      log,
      records,
      blobs,
      opening: { clean, created, tornBytesCut: torn === undefined ? 0 : torn.to - torn.from },
      close: () => (closing ??= close()),
    };
  } catch (error) {
    records.close();
    throw error;
  }
}

/** A clean stop says where the log ended: there even a damaged last commit can't pass for a torn one. */
async function wasStoppedCleanly(
  files: FileSystem,
  directory: string,
  { end, torn }: RecoveredLog,
): Promise<boolean> {
  const mark = await readCleanMark(files, directory);
  if (mark === undefined) return false;
  if (torn === undefined && mark.commit === end.commit && mark.crc === end.crc) return true;
  const path = `${logDirectory(directory)}/${segmentName(torn?.segment ?? end.segment)}`;
  const what = `the server stopped at commit ${mark.commit}, the log ends at ${end.commit}`;
  throw corrupt(path, torn?.from ?? end.position, what);
}

function frameBytesMaxOf(segmentBytes: number): number {
  return segmentBytes - SEGMENT_HEADER_BYTES - commitHeadBytes(1);
}

const logDirectory = (directory: string): string => `${directory}/log`;
const blobDirectory = (directory: string): string => `${directory}/blobs`;
const recordsPath = (directory: string): string => `${directory}/records.db`;
