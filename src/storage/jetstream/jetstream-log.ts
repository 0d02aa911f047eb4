/** The log of the JetStream engine: its partitions, their streams, and the counts. */
import { CaxtonError } from "../../base/errors.ts";
import type { AppendOutcome, AppendRoom, FrameRange, Log, LogRecord, LogUsage } from "../port.ts";
import type { LogPartition } from "./log-partition.ts";
import type { LogScanner } from "./log-scanner.ts";
import type { LogStream } from "./log-stream.ts";

export interface LogCounts {
  framesAppended: number;
  bytesAppended: number;
}

export interface JetStreamLogOptions {
  readonly streams: readonly LogStream[];
  readonly scanner: LogScanner;
  readonly frameBytesMax: number;
  readonly bytesMax: number;
  readonly counts: LogCounts;
}

export class JetStreamLog implements Log {
  readonly frameBytesMax: number;
  readonly #streams: readonly LogStream[];
  readonly #partitions = new Map<number, { partition: LogPartition; stream: LogStream }>();
  readonly #scanner: LogScanner;
  readonly #bytesMax: number;
  readonly #counts: LogCounts;

  constructor({ streams, scanner, frameBytesMax, bytesMax, counts }: JetStreamLogOptions) {
    this.#streams = streams;
    this.#scanner = scanner;
    this.frameBytesMax = frameBytesMax;
    this.#bytesMax = bytesMax;
    this.#counts = counts;
    for (const stream of streams) {
      for (const partition of stream.partitions) {
        this.#partitions.set(partition.index.partition, { partition, stream });
      }
    }
  }

  async append(
    partition: number,
    expectedSequence: number | null,
    frame: Uint8Array,
    epoch: number,
    room: AppendRoom = "ordinary",
  ): Promise<AppendOutcome> {
    if (frame.length > this.frameBytesMax) {
      const text = `A frame of ${frame.length} bytes; at most ${this.frameBytesMax} fit.`;
      throw new CaxtonError("INTERNAL", text);
    }
    const found = this.#partitions.get(partition);
    if (found === undefined) {
      const text = `There is no partition ${partition} of ${this.#partitions.size}.`;
      throw new CaxtonError("INTERNAL", text);
    }
    return found.partition.append(expectedSequence, frame, epoch, room);
  }

  async lastSequence(partition: number): Promise<number> {
    return (await this.#partitions.get(partition)?.partition.newest()) ?? 0;
  }

  async beginAt(partition: number, firstSequence: number): Promise<void> {
    this.#partitions.get(partition)?.partition.index.beginAt(firstSequence);
  }

  scan(partition: number, fromSequence: number): AsyncIterable<LogRecord> {
    const found = this.#partitions.get(partition)?.partition;
    const newest = found?.newest() ?? Promise.resolve(0);
    // Whoever iterates is told; a scan that nobody iterates must not end the process.
    newest.catch(() => undefined);
    return this.#scan(found, fromSequence, newest);
  }

  async readRanges(partition: number, ranges: readonly FrameRange[]): Promise<Uint8Array[]> {
    const found = this.#partitions.get(partition)?.partition;
    if (ranges.length === 0) return [];
    if (found !== undefined) return this.#scanner.readRanges(found, ranges);
    throw new CaxtonError("INTERNAL", `There is no partition ${partition}.`);
  }

  async trim(partition: number, belowSequence: number): Promise<void> {
    const found = this.#partitions.get(partition);
    await found?.stream.trim(found.partition, belowSequence);
  }

  usage(): LogUsage {
    return {
      bytes: this.#streams.reduce((sum, stream) => sum + stream.room.bytes, 0),
      bytesMax: this.#bytesMax,
      fullShare: Math.max(...this.#streams.map(({ room }) => room.fullShare)),
      commits: 0,
      fsyncs: 0,
      ...this.#counts,
      heldBackBy: this.#streams.flatMap((stream) => stream.heldBackBy()),
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.#streams.map((stream) => stream.idle()));
  }

  async *#scan(
    partition: LogPartition | undefined,
    from: number,
    newest: Promise<number>,
  ): AsyncGenerator<LogRecord> {
    const to = await newest;
    if (partition !== undefined) yield* this.#scanner.scan(partition, from, to);
  }
}
