/**
 * Reads a log from its files and decides what they mean, without changing a byte.
 *
 * 1. Only the end may be unfinished: one torn commit with nothing valid after it.
 * 2. Anything else that is not an unbroken chain of commits is STORAGE_CORRUPT, with file and
 *    position, and the directory stays as it is.
 */
import { CaxtonError } from "../../base/errors.ts";
import {
  alignCommit,
  COMMIT_ALIGN_BYTES,
  COMMIT_HEADER_BYTES,
  commitHeadBytes,
  commitHeadBytesAt,
  type CommitHead,
  decodeCommitHead,
  framesIntact,
} from "./commit-codec.ts";
import type { FileSystem } from "./file-system.ts";
import { FileWindow } from "./file-window.ts";
import { LogIndex } from "./log-index.ts";
import {
  decodeSegmentHeader,
  parseLogFileName,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  segmentName,
} from "./segment-file.ts";

export interface LogEnd {
  /** Number and CRC of the newest commit, 0 and 0 when there is none. */
  readonly commit: number;
  readonly crc: number;
  /** Where the next commit goes. */
  readonly segment: number;
  readonly position: number;
}

export interface TornTail {
  readonly segment: number;
  readonly from: number;
  /** After the last byte that is not zero. */
  readonly to: number;
}

export interface RecoveredSegment extends SegmentHeader {
  /** Less than `bytes` when somebody cut the file. */
  readonly fileBytes: number;
}

export interface RecoveredLog {
  readonly segments: readonly RecoveredSegment[];
  /** Number of the newest file, when it is not prepared yet. */
  readonly unprepared: number | undefined;
  /** Files of trimmed segments. */
  readonly leftovers: readonly string[];
  readonly end: LogEnd;
  readonly torn: TornTail | undefined;
  readonly index: LogIndex;
}

export async function recoverLog(files: FileSystem, directory: string): Promise<RecoveredLog> {
  const names = await listLogFiles(files, directory);
  const window = new FileWindow(files);
  const reader = new ChainReader(directory, names.trimmed > 0);
  const segments: RecoveredSegment[] = [];
  let unprepared: number | undefined;
  for (const number of names.segments) {
    const path = `${directory}/${segmentName(number)}`;
    const fd = await files.open(path, "r");
    try {
      await window.turnTo(fd);
      const header = decodeSegmentHeader(await window.view(0, SEGMENT_HEADER_BYTES));
      if (header === undefined) {
        await checkUnprepared(path, window, number === names.segments.at(-1));
        unprepared = number;
      } else {
        if (header.number !== number) {
          throw corrupt(path, 0, `the header is that of segment ${header.number}`);
        }
        await reader.read(path, header, window);
        segments.push({ ...header, fileBytes: window.bytes });
      }
    } finally {
      await files.close(fd);
    }
  }
  reader.index.finishRebuild();
  const { end, torn, index } = reader;
  return { segments, unprepared, leftovers: names.leftovers, end, torn, index };
}

/** Follows the chain of commits from segment to segment. */
class ChainReader {
  readonly index = new LogIndex();
  end: LogEnd = { commit: 0, crc: 0, segment: 0, position: 0 };
  torn: TornTail | undefined;
  readonly #directory: string;
  /** Older segments are gone, so the first commit found may have any number. */
  readonly #beginsAnywhere: boolean;

  constructor(directory: string, beginsAnywhere: boolean) {
    this.#directory = directory;
    this.#beginsAnywhere = beginsAnywhere;
  }

  async read(path: string, header: SegmentHeader, window: FileWindow): Promise<void> {
    let at = SEGMENT_HEADER_BYTES;
    for (;;) {
      const head = await headAt(window, at, header.nonce);
      if (head === undefined || !framesIntact(await window.view(at, head.bytes), head)) break;
      if (this.torn !== undefined) throw this.#followed(this.torn);
      this.#accept(path, at, header.number, head);
      at += alignCommit(head.bytes);
    }
    if (this.end.segment === 0) {
      this.end = { commit: 0, crc: 0, segment: header.number, position: at };
    }
    await this.#readTail(path, header, window, at);
  }

  #accept(path: string, at: number, segment: number, head: CommitHead): void {
    const follows = head.number === this.end.commit + 1 && head.previousCrc === this.end.crc;
    if (!follows && !(this.end.commit === 0 && this.#beginsAnywhere)) {
      const expected = this.end.commit + 1;
      throw corrupt(path, at, `expected commit ${expected}, found commit ${head.number}`);
    }
    let offset = at + commitHeadBytes(head.records.length);
    for (const record of head.records) {
      const { partition, sequence, length, crc } = record;
      const place = { segment, offset, length, crc };
      if (record.carried) this.index.rebuildMove(partition, sequence, place);
      else if (!this.index.append(partition, sequence, place)) {
        const expected = this.index.last(partition) + 1;
        const found = `frame ${sequence} of partition ${partition} where ${expected} is due`;
        throw corrupt(path, at, found);
      }
      offset += length;
    }
    const position = at + alignCommit(head.bytes);
    this.end = { commit: head.number, crc: head.crc, segment, position };
  }

  /** What follows the last good commit of a segment: zeros, or the one torn commit. */
  async #readTail(
    path: string,
    header: SegmentHeader,
    window: FileWindow,
    from: number,
  ): Promise<void> {
    const to = await window.lastNonZero(from);
    if (to === from) return;
    for (let at = from; at < to; at += COMMIT_ALIGN_BYTES) {
      const head = await headAt(window, at, header.nonce);
      if (head === undefined || head.number <= this.end.commit) continue;
      // The head of the torn commit itself may be whole.
      if (at === from && head.number === this.end.commit + 1) continue;
      throw corrupt(path, from, `damaged, though commit ${head.number} follows at ${at}`);
    }
    if (this.torn !== undefined) throw this.#followed(this.torn);
    this.torn = { segment: header.number, from, to };
  }

  #followed(torn: TornTail): CaxtonError {
    const path = `${this.#directory}/${segmentName(torn.segment)}`;
    return corrupt(path, torn.from, "damaged, though a later segment holds data");
  }
}

interface LogFileNames {
  readonly segments: readonly number[];
  readonly trimmed: number;
  readonly leftovers: readonly string[];
}

/** Segments must be numbered without a gap from the newest trimmed one on. */
async function listLogFiles(files: FileSystem, directory: string): Promise<LogFileNames> {
  const found = (await files.list(directory)).flatMap((name) => {
    const file = parseLogFileName(name);
    return file === undefined ? [] : [{ ...file, name }];
  });
  const markers = found.filter((file) => file.kind === "trimmed");
  if (markers.length !== 1) throw corrupt(directory, 0, `${markers.length} markers *.trimmed`);
  const trimmed = markers[0]?.number ?? 0;
  const segments: number[] = [];
  const leftovers: string[] = [];
  for (const { kind, number, name } of found) {
    if (kind === "segment" && number > trimmed) segments.push(number);
    else if (kind === "segment") leftovers.push(name);
  }
  segments.forEach((number, i) => {
    const expected = trimmed + 1 + i;
    if (number !== expected) throw corrupt(`${directory}/${segmentName(expected)}`, 0, "missing");
  });
  return { segments, trimmed, leftovers };
}

/**
 * A segment without an intact header was never used: its header is durable before the next file
 * appears, and it is empty until then.
 */
async function checkUnprepared(path: string, window: FileWindow, newest: boolean): Promise<void> {
  const end = await window.lastNonZero(SEGMENT_HEADER_BYTES);
  if (newest && end === SEGMENT_HEADER_BYTES) return;
  throw corrupt(path, 0, "the segment's header is damaged");
}

async function headAt(
  window: FileWindow,
  at: number,
  nonce: Uint8Array,
): Promise<CommitHead | undefined> {
  const bytes = commitHeadBytesAt(await window.view(at, COMMIT_HEADER_BYTES), nonce);
  if (bytes === undefined) return undefined;
  const head = await window.view(at, bytes);
  return head.length < bytes ? undefined : decodeCommitHead(head);
}

export function corrupt(path: string, position: number, what: string): CaxtonError {
  return new CaxtonError("STORAGE_CORRUPT", `${path} at byte ${position}: ${what}.`);
}
