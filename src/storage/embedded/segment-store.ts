/**
 * The segments in use, oldest first, the last one being written. Owns their open files and the
 * marker that names the newest trimmed segment.
 *
 * 1. Numbers have no gap, from the marker's plus 1 on, and the file after a written one exists:
 *    whichever file is lost, its absence shows.
 * 2. The marker moves, durably, before a trimmed file is touched.
 * 3. A file that is being read is not given back.
 */
import { invariant } from "../../base/assert.ts";
import type { AppendRoom } from "../port.ts";
import type { FileSystem } from "./file-system.ts";
import { closeSegmentFile, type Segment, segmentName, trimmedName } from "./segment-file.ts";
import type { SegmentSupply } from "./segment-supply.ts";

export class SegmentStore {
  readonly #files: FileSystem;
  readonly #directory: string;
  readonly #supply: SegmentSupply;
  readonly #segments: Segment[];

  constructor(
    files: FileSystem,
    directory: string,
    supply: SegmentSupply,
    segments: readonly Segment[],
  ) {
    this.#files = files;
    this.#directory = directory;
    this.#supply = supply;
    this.#segments = [...segments];
  }

  get bytes(): number {
    return this.#supply.bytes;
  }

  get oldest(): Segment {
    return this.#segments[0] as Segment;
  }

  get newest(): Segment {
    return this.#segments.at(-1) as Segment;
  }

  path(number: number): string {
    return `${this.#directory}/${segmentName(number)}`;
  }

  /** How far frames may go in the newest segment: of the last one as much is kept as a segment has, or an eighth of it. */
  endFor(room: AppendRoom): number {
    if (room === "reserve" || this.#supply.hasNext) return this.newest.bytes;
    const { segmentBytes } = this.#supply;
    return Math.max(0, this.newest.bytes - (room === "begun" ? segmentBytes / 8 : segmentBytes));
  }

  /** `position`: where the newest segment ends for now. */
  fullShare(position: number): number {
    const older = this.#segments.slice(0, -1).reduce((sum, { bytes }) => sum + bytes, 0);
    const used = older + position;
    const leftHere = Math.max(0, this.endFor("ordinary") - position);
    return used / (used + leftHere + this.#supply.ordinaryBytesLeft);
  }

  /** The next segment, now the newest; undefined when there is no room for one. */
  async take(room: AppendRoom): Promise<Segment | undefined> {
    const segment = await this.#supply.take(room);
    if (segment !== undefined) this.#segments.push(segment);
    return segment;
  }

  async dropOldest(): Promise<void> {
    const segment = this.oldest;
    invariant(this.#segments.length > 1, "the newest segment is never dropped");
    const marker = `${this.#directory}/${trimmedName(segment.number - 1)}`;
    await this.#files.rename(marker, `${this.#directory}/${trimmedName(segment.number)}`);
    await this.#files.syncDirectory(this.#directory);
    this.#segments.shift();
    segment.retired = true;
    if (segment.readers === 0) await this.#supply.recycle(segment);
  }

  /** Keeps the files of these segments readable until `release` is called. */
  hold(numbers: Iterable<number>): {
    readonly segments: ReadonlyMap<number, Segment>;
    readonly release: () => Promise<void>;
  } {
    const segments = new Map<number, Segment>();
    for (const number of numbers) {
      if (segments.has(number)) continue;
      const segment = this.#segments[number - this.oldest.number];
      invariant(segment !== undefined, "indexed frames lie in segments in use");
      segment.readers += 1;
      segments.set(number, segment);
    }
    const release = async (): Promise<void> => {
      for (const segment of segments.values()) {
        segment.readers -= 1;
        if (segment.retired && segment.readers === 0) await this.#supply.recycle(segment);
      }
    };
    return { segments, release };
  }

  async close(): Promise<void> {
    await this.#supply.close();
    for (const segment of this.#segments) await closeSegmentFile(this.#files, segment);
  }
}
