/**
 * The files of the log. Owns the open segments, the bytes they may take, and the preparing of the
 * next one while the current fills.
 *
 * 1. Names are numbered without a gap, and a segment takes its first commit only when the name after
 *    it is durable: whichever file is lost later, its absence shows.
 * 2. `bytes` counts whole files, from before they are filled until after they are emptied.
 * 3. Want of space is a state that passes (`take` gives nothing); any other failure is for good and
 *    goes to `onFailed`.
 */
import { invariant } from "../../base/assert.ts";
import { type FileSystem, isWantOfSpace } from "./file-system.ts";
import type { LogFiles } from "./log-files.ts";
import {
  createSegmentName,
  prepareSegment,
  type Segment,
  segmentName,
  trimmedName,
} from "./segment-file.ts";

/** After the disk was full, how long until it is asked again without a reason to hope. */
const SPACE_RETRY_MS = 1000;

export interface SegmentStoreOptions {
  readonly files: FileSystem;
  readonly directory: string;
  readonly segmentBytes: number;
  readonly bytesMax: number;
  readonly onFailed: (error: unknown) => void;
}

export class SegmentStore {
  readonly #options: SegmentStoreOptions;
  /** In use, oldest first. */
  readonly #segments: Segment[];
  /** Prepared, in order; more than one only after a crash. */
  readonly #ready: Segment[];
  /** The newest name; its file is empty. */
  #nextNumber: number;
  #trimmed: number;
  #bytes: number;
  #preparing: Promise<void> | undefined;
  #spaceRetryAtMs = 0;
  #stopping = false;

  constructor(options: SegmentStoreOptions, found: LogFiles) {
    this.#options = options;
    this.#segments = [...found.segments];
    this.#ready = [...found.ready];
    this.#nextNumber = found.nextNumber;
    this.#trimmed = found.trimmed;
    this.#bytes = 0;
    for (const segment of [...found.segments, ...found.ready]) this.#bytes += segment.bytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get oldest(): Segment {
    return this.#segments[0] as Segment;
  }

  get newest(): Segment {
    return this.#segments.at(-1) as Segment;
  }

  path(number: number): string {
    return `${this.#options.directory}/${segmentName(number)}`;
  }

  /** Begins to prepare the next segment, if there is room and none is ready. */
  prepare(): void {
    const { segmentBytes, bytesMax } = this.#options;
    if (this.#ready.length > 0 || this.#preparing !== undefined || this.#stopping) return;
    if (this.#bytes + segmentBytes > bytesMax || performance.now() < this.#spaceRetryAtMs) return;
    this.#preparing = this.#prepareNext().finally(() => {
      this.#preparing = undefined;
    });
  }

  /** The next segment, now the newest; undefined when there is no room for one. */
  async take(): Promise<Segment | undefined> {
    this.prepare();
    await this.#preparing;
    const segment = this.#ready.shift();
    if (segment === undefined) return undefined;
    this.#segments.push(segment);
    this.prepare();
    return segment;
  }

  /** Removes the oldest segment. Its name goes first and durably, then its bytes. */
  async dropOldest(): Promise<void> {
    const { files, directory } = this.#options;
    const segment = this.oldest;
    invariant(this.#segments.length > 1, "the newest segment is never dropped");
    await files.rename(segment.path, `${directory}/${trimmedName(segment.number)}`);
    await files.syncDirectory(directory);
    this.#segments.shift();
    segment.retired = true;
    const before = this.#trimmed;
    this.#trimmed = segment.number;
    if (segment.readers === 0) await this.#release(segment);
    if (before > 0) await files.unlink(`${directory}/${trimmedName(before)}`);
  }

  /** Keeps the files of these segments readable until the returned function is called. */
  hold(numbers: Iterable<number>): {
    readonly segments: ReadonlyMap<number, Segment>;
    readonly release: () => Promise<void>;
  } {
    const held = new Map<number, Segment>();
    for (const number of numbers) {
      const segment = this.#segments[number - this.oldest.number];
      invariant(segment !== undefined, "indexed frames lie in segments in use");
      if (!held.has(number)) segment.readers += 1;
      held.set(number, segment);
    }
    const release = async (): Promise<void> => {
      for (const segment of held.values()) {
        segment.readers -= 1;
        if (segment.retired && segment.readers === 0) await this.#release(segment);
      }
    };
    return { segments: held, release };
  }

  async close(): Promise<void> {
    this.#stopping = true;
    await this.#preparing;
    for (const segment of [...this.#segments, ...this.#ready])
      await this.#options.files.close(segment.fd);
  }

  async #release(segment: Segment): Promise<void> {
    try {
      await this.#options.files.truncate(segment.fd, 0);
      await this.#options.files.close(segment.fd);
    } catch (error) {
      this.#options.onFailed(error);
    }
    this.#bytes -= segment.bytes;
    this.#spaceRetryAtMs = 0;
    this.prepare();
  }

  async #prepareNext(): Promise<void> {
    const { files, directory, segmentBytes, onFailed } = this.#options;
    const number = this.#nextNumber;
    const path = this.path(number);
    this.#bytes += segmentBytes;
    try {
      const fd = await files.open(path, "r+");
      const segment = await this.#fill({ fd, path, number });
      if (segment === undefined) {
        this.#bytes -= segmentBytes;
        await files.truncate(fd, 0);
        await files.close(fd);
      } else {
        await files.syncDirectory(directory);
        this.#nextNumber = number + 1;
        this.#ready.push(segment);
      }
    } catch (error) {
      onFailed(error);
    }
  }

  /** Prepares the file and creates the next name; undefined for want of space and on a stop. */
  async #fill(file: { fd: number; path: string; number: number }): Promise<Segment | undefined> {
    const { files, directory, segmentBytes } = this.#options;
    try {
      const segment = await prepareSegment(files, file, segmentBytes, () => this.#stopping);
      if (segment !== undefined) await createSegmentName(files, directory, file.number + 1);
      return segment;
    } catch (error) {
      if (!isWantOfSpace(error)) throw error;
      this.#spaceRetryAtMs = performance.now() + SPACE_RETRY_MS;
      return undefined;
    }
  }
}
