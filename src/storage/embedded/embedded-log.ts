/**
 * The log of the embedded engine: index, writer, reader and the removal of what is trimmed.
 *
 * Segments go oldest first. The newest frame of every partition stays, so a partition that rests
 * would hold the oldest segment, and with it the whole log; a segment of which little is still
 * wanted is therefore emptied by carrying that little to the end of the log.
 */
import { CaxtonError } from "../../base/errors.ts";
import type { AppendOutcome, AppendRoom, FrameRange, Log, LogRecord, LogUsage } from "../port.ts";
import type { LogIndex } from "./log-index.ts";
import { LogReader } from "./log-reader.ts";
import type { LogEnd } from "./log-recovery.ts";
import { LogWriter, type LogWriterOptions } from "./log-writer.ts";
import type { SegmentStore } from "./segment-store.ts";
import type { WriteGate } from "../write-gate.ts";

/** The part of a segment that may still be wanted for it to be emptied. */
const CARRY_FRACTION_MAX = 1 / 4;
const CARRY_FRAMES_MAX = 64;

export class EmbeddedLog implements Log {
  readonly #index: LogIndex;
  readonly #segments: SegmentStore;
  readonly #writer: LogWriter;
  readonly #reader: LogReader;
  readonly #gate: WriteGate;
  readonly #bytesMax: number;
  readonly frameBytesMax: number;
  #reclaiming: Promise<void> = Promise.resolve();

  constructor(options: LogWriterOptions, bytesMax: number) {
    this.#index = options.index;
    this.#segments = options.segments;
    this.#writer = new LogWriter(options);
    this.#reader = new LogReader(options.files, options.index, options.segments);
    this.#gate = options.gate;
    this.#bytesMax = bytesMax;
    this.frameBytesMax = options.frameBytesMax;
  }

  append(
    partition: number,
    expectedSequence: number | null,
    frame: Uint8Array,
    _epoch: number,
    room?: AppendRoom,
  ): Promise<AppendOutcome> {
    return this.#writer.append(partition, expectedSequence, frame, room);
  }

  lastSequence(partition: number): Promise<number> {
    return Promise.resolve(this.#index.last(partition));
  }

  beginAt(partition: number, firstSequence: number): Promise<void> {
    this.#index.beginAt(partition, firstSequence);
    return Promise.resolve();
  }

  scan(partition: number, fromSequence: number): AsyncIterable<LogRecord> {
    return this.#reader.scan(partition, fromSequence, this.#index.last(partition));
  }

  readRanges(partition: number, ranges: readonly FrameRange[]): Promise<Uint8Array[]> {
    return this.#reader.readRanges(partition, ranges);
  }

  trim(partition: number, belowSequence: number): Promise<void> {
    this.#index.dropBelow(partition, belowSequence);
    this.#reclaiming = this.#reclaiming.then(() => this.#reclaim());
    return this.#reclaiming;
  }

  usage(): LogUsage {
    return {
      bytes: this.#segments.bytes,
      bytesMax: this.#bytesMax,
      fullShare: this.#segments.fullShare(this.#writer.end.position),
      ...this.#writer.counts,
      heldBackBy: [],
    };
  }

  /** Finishes what was asked and gives the files back; returns where the log ends. */
  async close(): Promise<LogEnd> {
    await this.#reclaiming;
    await this.#writer.idle();
    await this.#segments.close();
    return this.#writer.end;
  }

  async #reclaim(): Promise<void> {
    try {
      while (this.#segments.oldest !== this.#segments.newest && !this.#gate.failed) {
        const { number, bytes } = this.#segments.oldest;
        const live = this.#index.live(number);
        if (live.frames > 0) {
          if (live.bytes > bytes * CARRY_FRACTION_MAX) return;
          await this.#carryFrom(number);
          if (this.#index.live(number).frames > 0) return;
        }
        this.#index.forgetSegment(number);
        await this.#segments.dropOldest();
      }
    } catch (error) {
      // No room for the copies: the next trim tries again. A failed log says so by itself.
      if (error instanceof CaxtonError && error.code !== "STORAGE_CORRUPT") return;
      this.#gate.fail(error);
    }
  }

  async #carryFrom(segment: number): Promise<void> {
    const keys = [...this.#index.framesIn(segment)];
    for (let from = 0; from < keys.length; from += CARRY_FRAMES_MAX) {
      const batch = keys.slice(from, from + CARRY_FRAMES_MAX);
      // A frame that was trimmed meanwhile needs no copy.
      const wanted = batch.filter((key) => this.#index.has(key.partition, key.sequence));
      const frames = await this.#reader.readFrames(wanted);
      const copies = wanted.map(({ partition, sequence }, i) =>
        this.#writer.carry(partition, sequence, frames[i] as Uint8Array),
      );
      await Promise.all(copies);
    }
  }
}
