/** Reads frames and parts of frames back, many of them with few large reads. */
import { crc32 } from "node:zlib";
import { CaxtonError, ensureError } from "../../base/errors.ts";
import type { FrameRange, LogRecord } from "../port.ts";
import type { FileSystem } from "./file-system.ts";
import type { FrameKey, FramePlace, LogIndex } from "./log-index.ts";
import { corrupt } from "./log-recovery.ts";
import type { Segment } from "./segment-file.ts";
import type { SegmentStore } from "./segment-store.ts";

/** Two wanted pieces this close are read in one go, the gap with them. */
const GAP_BYTES_MAX = 64 * 1024;
/** What one read may span, and about how much a scan holds at a time. */
const READ_BYTES_MAX = 4 * 1024 * 1024;
const READS_AT_ONCE = 4;
const SCAN_FRAMES_MAX = 4096;

/** A piece of a segment and where it goes. */
interface Piece {
  readonly segment: number;
  readonly offset: number;
  readonly into: Uint8Array;
}

interface Span {
  readonly segment: number;
  readonly from: number;
  to: number;
  readonly pieces: Piece[];
}

export class LogReader {
  readonly #files: FileSystem;
  readonly #index: LogIndex;
  readonly #segments: SegmentStore;

  constructor(files: FileSystem, index: LogIndex, segments: SegmentStore) {
    this.#files = files;
    this.#index = index;
    this.#segments = segments;
  }

  /** Frames from..to that still exist, verified, each in memory of its own. */
  async *scan(partition: number, from: number, to: number): AsyncIterable<LogRecord> {
    for (let next = Math.max(from, this.#index.first(partition)); next <= to;) {
      const places: FramePlace[] = [];
      let bytes = 0;
      while (next + places.length <= to && bytes < READ_BYTES_MAX) {
        const place = this.#index.place(partition, next + places.length);
        if (place === undefined || places.length === SCAN_FRAMES_MAX) break;
        places.push(place);
        bytes += place.length;
      }
      const frames = await this.#readFrames(places);
      for (const [i, frame] of frames.entries()) yield { sequence: next + i, frame };
      // Frames that were trimmed during the scan are passed over.
      next = Math.max(next + frames.length, this.#index.first(partition));
    }
  }

  /** Whole frames, verified, each in memory of its own. */
  readFrames(wanted: readonly FrameKey[]): Promise<Uint8Array[]> {
    return this.#readFrames(wanted.map((key) => this.#place(key.partition, key.sequence)));
  }

  /** All results lie in one piece of memory. */
  async readRanges(partition: number, ranges: readonly FrameRange[]): Promise<Uint8Array[]> {
    let total = 0;
    for (const range of ranges) total += range.length;
    const memory = new Uint8Array(total);
    const pieces: Piece[] = [];
    let at = 0;
    for (const { sequence, offset, length } of ranges) {
      const place = this.#place(partition, sequence);
      if (offset < 0 || length < 0 || offset + length > place.length) {
        const what = `bytes ${offset} to ${offset + length} of a frame of ${place.length} bytes`;
        throw new CaxtonError("INTERNAL", `Asked for ${what}.`);
      }
      const into = memory.subarray(at, at + length);
      pieces.push({ segment: place.segment, offset: place.offset + offset, into });
      at += length;
    }
    await this.#readPieces(pieces);
    return pieces.map((piece) => piece.into);
  }

  #place(partition: number, sequence: number): FramePlace {
    const place = this.#index.place(partition, sequence);
    if (place !== undefined) return place;
    throw new CaxtonError("INTERNAL", `Partition ${partition} has no frame ${sequence}.`);
  }

  async #readFrames(places: readonly FramePlace[]): Promise<Uint8Array[]> {
    const pieces = places.map(({ segment, offset, length }) => ({
      segment,
      offset,
      into: new Uint8Array(length),
    }));
    await this.#readPieces(pieces);
    return pieces.map(({ segment, offset, into }, i) => {
      if (crc32(into) === places[i]?.crc) return into;
      throw corrupt(this.#segments.path(segment), offset, "the frame does not match its checksum");
    });
  }

  async #readPieces(pieces: readonly Piece[]): Promise<void> {
    const spans = spansOf(pieces);
    const held = this.#segments.hold(spans.map((span) => span.segment));
    let next = 0;
    const readSome = async (): Promise<void> => {
      for (let span = spans[next++]; span !== undefined; span = spans[next++]) {
        await this.#readSpan(held.segments.get(span.segment) as Segment, span);
      }
    };
    try {
      await Promise.all(Array.from({ length: Math.min(READS_AT_ONCE, spans.length) }, readSome));
    } finally {
      await held.release();
    }
  }

  async #readSpan(segment: Segment, span: Span): Promise<void> {
    const only = span.pieces.length === 1 ? span.pieces[0]?.into : undefined;
    const memory = only ?? Buffer.allocUnsafeSlow(span.to - span.from);
    let bytes: number;
    try {
      bytes = await this.#files.read(segment.fd, memory, span.from);
    } catch (error) {
      throw corrupt(segment.path, span.from, `can't be read: ${ensureError(error).message}`);
    }
    if (bytes < memory.length) throw corrupt(segment.path, span.from + bytes, "the file ends here");
    if (only !== undefined) return;
    for (const { offset, into } of span.pieces) {
      into.set(memory.subarray(offset - span.from, offset - span.from + into.length));
    }
  }
}

/** Pieces in the order given, neighbours joined. */
function spansOf(pieces: readonly Piece[]): Span[] {
  const spans: Span[] = [];
  let span: Span | undefined;
  for (const piece of pieces) {
    const end = piece.offset + piece.into.length;
    const joins =
      span !== undefined &&
      span.segment === piece.segment &&
      piece.offset >= span.from &&
      piece.offset - span.to < GAP_BYTES_MAX &&
      end - span.from <= READ_BYTES_MAX;
    if (span !== undefined && joins) {
      span.to = Math.max(span.to, end);
      span.pieces.push(piece);
    } else {
      span = { segment: piece.segment, from: piece.offset, to: end, pieces: [piece] };
      spans.push(span);
    }
  }
  return spans;
}
