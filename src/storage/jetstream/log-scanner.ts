/** Reads frames back, each by its place in the stream, at the stream's leader. */
import { CaxtonError } from "../../base/errors.ts";
import type { FrameRange, LogRecord } from "../port.ts";
import { FrameReads } from "./frame-reads.ts";
import type { JetStreamApi } from "./jetstream-api.ts";
import type { LogPartition } from "./log-partition.ts";
import type { FramePlace } from "./partition-index.ts";

/** What is asked for at a time: one frame of any size, or this much. */
const READ_BYTES_MAX = 4 * 1024 * 1024;
const READ_FRAMES_MAX = 64;

export class LogScanner {
  readonly #api: JetStreamApi;
  readonly #reads = new FrameReads();

  constructor(api: JetStreamApi) {
    this.#api = api;
  }

  /** Frames from `from` to `to` that still exist. */
  async *scan(partition: LogPartition, from: number, to: number): AsyncGenerator<LogRecord> {
    const { index } = partition;
    // Some only want the first frame.
    let framesMax = 1;
    for (let next = Math.max(from, index.first); next <= to;) {
      const places = this.#batch(partition, next, Math.min(to, next + framesMax - 1));
      framesMax = Math.min(framesMax * 4, READ_FRAMES_MAX);
      const frames = await Promise.all(
        places.map((place) => this.#reads.read(place.bytes, () => this.#read(partition, place))),
      );
      for (const frame of frames) {
        // What was trimmed meanwhile is passed over.
        if (frame !== undefined) yield { sequence: next, frame };
        next++;
      }
      next = Math.max(next, index.first);
    }
  }

  async readRanges(partition: LogPartition, ranges: readonly FrameRange[]): Promise<Uint8Array[]> {
    const frames = new Map<number, Promise<Uint8Array | undefined>>();
    for (const range of ranges) {
      const place = await placeOf(partition, range);
      if (!frames.has(range.sequence)) {
        frames.set(range.sequence, this.#shared(partition, place));
      }
    }
    await Promise.all(frames.values());
    return Promise.all(
      ranges.map(async ({ sequence, offset, length }) => {
        const frame = await frames.get(sequence);
        if (frame === undefined) throw hasNone(partition, sequence);
        return frame.subarray(offset, offset + length);
      }),
    );
  }

  #batch({ index }: LogPartition, from: number, to: number): FramePlace[] {
    const places: FramePlace[] = [];
    let bytes = 0;
    while (from + places.length <= to) {
      const place = index.place(from + places.length);
      if (place === undefined || (bytes + place.bytes > READ_BYTES_MAX && bytes > 0)) break;
      places.push(place);
      bytes += place.bytes;
    }
    return places;
  }

  #shared(partition: LogPartition, place: FramePlace): Promise<Uint8Array | undefined> {
    const key = `${partition.stream} ${place.streamSequence}`;
    return this.#reads.shared(key, place.bytes, () => this.#read(partition, place));
  }

  /** Undefined when the frame was trimmed. */
  async #read(partition: LogPartition, place: FramePlace): Promise<Uint8Array | undefined> {
    const { stream, subject, index } = partition;
    const { streamSequence } = place;
    const message = await this.#api.message(stream, { seq: streamSequence });
    if (message?.subject === subject) return message.body;
    const { state } = await this.#api.streamInfo(stream);
    if (message === undefined && streamSequence < state.first_seq) {
      index.dropBelow(state.first_seq);
      return undefined;
    }
    const text = `Message ${streamSequence} of ${stream} is missing: it was a frame of ${subject}.`;
    throw new CaxtonError("STORAGE_CORRUPT", text);
  }
}

async function placeOf(
  partition: LogPartition,
  { sequence, offset, length }: FrameRange,
): Promise<FramePlace> {
  // Another node may have appended it.
  if (sequence > partition.index.last) await partition.newest();
  const place = partition.index.place(sequence);
  if (place === undefined) throw hasNone(partition, sequence);
  if (offset < 0 || length < 0 || offset + length > place.bytes) {
    const what = `bytes ${offset} to ${offset + length} of a frame of ${place.bytes} bytes`;
    throw new CaxtonError("INTERNAL", `Asked for ${what}.`);
  }
  return place;
}

function hasNone({ index }: LogPartition, sequence: number): CaxtonError {
  return new CaxtonError("INTERNAL", `Partition ${index.partition} has no frame ${sequence}.`);
}
