/**
 * The small files that say what a data directory is: `FORMAT`, written last when it is made, and
 * `CLEAN`, there only between a clean stop and the next start.
 */
import { CaxtonError } from "../../base/errors.ts";
import {
  errorCodeOf,
  type FileSystem,
  readFileIfPresent,
  writeFileDurably,
} from "./file-system.ts";
import { corrupt, type LogEnd } from "./log-recovery.ts";

const FORMAT_VERSION = 1;
const FORMAT_TEXT = `caxton-data ${FORMAT_VERSION} embedded\n`;

/** False when there is no FORMAT. Throws when this build can't read the directory. */
export async function checkFormat(files: FileSystem, directory: string): Promise<boolean> {
  const path = `${directory}/FORMAT`;
  const content = await readFileIfPresent(files, path);
  if (content === undefined) return false;
  const text = Buffer.from(content).toString("latin1");
  const version = Number(/^caxton-data (\d{1,9})\b/.exec(text)?.[1] ?? 0);
  if (version > FORMAT_VERSION) {
    const found = `${directory} has format ${version}; this build reads ${FORMAT_VERSION}.`;
    throw new CaxtonError("STORAGE_FORMAT_NEWER", found);
  }
  if (text !== FORMAT_TEXT) throw corrupt(path, 0, "not a format record");
  return true;
}

export async function writeFormat(files: FileSystem, directory: string): Promise<void> {
  const place = { directory, name: "FORMAT", temporary: `${directory}/FORMAT.tmp` };
  await writeFileDurably(files, place, Buffer.from(FORMAT_TEXT));
}

/** Where the log ended at a clean stop; undefined after any other end. */
export async function readCleanMark(
  files: FileSystem,
  directory: string,
): Promise<Pick<LogEnd, "commit" | "crc"> | undefined> {
  const path = `${directory}/CLEAN`;
  const content = await readFileIfPresent(files, path);
  if (content === undefined) return undefined;
  const match = /^commit (\d{1,16}) crc ([0-9a-f]{8})\n$/.exec(
    Buffer.from(content).toString("latin1"),
  );
  if (match === null) throw corrupt(path, 0, "not a clean-stop mark");
  return { commit: Number(match[1]), crc: Number.parseInt(match[2] ?? "", 16) };
}

export async function writeCleanMark(
  files: FileSystem,
  directory: string,
  end: LogEnd,
): Promise<void> {
  const place = { directory, name: "CLEAN", temporary: `${directory}/CLEAN.tmp` };
  const text = `commit ${end.commit} crc ${end.crc.toString(16).padStart(8, "0")}\n`;
  await writeFileDurably(files, place, Buffer.from(text));
}

export async function removeCleanMark(files: FileSystem, directory: string): Promise<void> {
  try {
    await files.unlink(`${directory}/CLEAN`);
  } catch (error) {
    if (errorCodeOf(error) !== "ENOENT") throw error;
  }
  await files.syncDirectory(directory);
}
