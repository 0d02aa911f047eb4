/**
 * Frames that recovery has met and that actors are brought back from: read once, partition by partition, and not
 * for each actor again.
 *
 * Owns their lengths, and the frames of one partition.
 * 1. At most LOADED_BYTES_MAX are loaded; who needs others reads the log.
 * 2. No frame below the floor of the log is read: it may be gone.
 */
import type { FrameRange } from "../storage/index.ts";

const LOADED_BYTES_MAX = 128 * 1024 * 1024;
const READ_BYTES_MAX = 4 * 1024 * 1024;

interface Tail {
  /** Sequence of the first frame. */
  readonly first: number;
  readonly lengths: number[];
}

export interface LoadPorts {
  /** Lowest sequence the log is sure to have. */
  floor(): number;
  read(ranges: readonly FrameRange[], done: (pieces: readonly Buffer[]) => void): void;
}

export class TailFrames {
  private readonly tails = new Map<number, Tail>();
  private partition = -1;
  private frames = new Map<number, Buffer>();

  /** Recovery has met the next frame of a partition. */
  add(partition: number, sequence: number, length: number): void {
    const tail = this.tails.get(partition);
    if (tail === undefined) this.tails.set(partition, { first: sequence, lengths: [length] });
    else tail.lengths.push(length);
  }

  isLoaded(partition: number): boolean {
    return this.partition === partition;
  }

  /** Loads what recovery has met of a partition, in place of what is loaded. */
  load(partition: number, ports: LoadPorts, done: () => void): void {
    const tail = this.tails.get(partition);
    this.tails.delete(partition);
    this.partition = partition;
    this.frames = new Map();
    if (tail === undefined) done();
    else this.loadFrom(tail, 0, LOADED_BYTES_MAX, ports, done);
  }

  private loadFrom(
    { first, lengths }: Tail,
    from: number,
    roomBytes: number,
    ports: LoadPorts,
    done: () => void,
  ): void {
    const ranges: FrameRange[] = [];
    let bytes = 0;
    let next = Math.max(from, ports.floor() - first);
    for (; next < lengths.length && bytes < READ_BYTES_MAX; next++) {
      const length = lengths[next]!;
      ranges.push({ sequence: first + next, offset: 0, length });
      bytes += length;
    }
    if (ranges.length === 0 || bytes > roomBytes) {
      done();
      return;
    }
    ports.read(ranges, (pieces) => {
      ranges.forEach(({ sequence }, i) => this.frames.set(sequence, pieces[i]!));
      this.loadFrom({ first, lengths }, next, roomBytes - bytes, ports, done);
    });
  }

  /** Undefined unless all of it is loaded. */
  read(partition: number, ranges: readonly FrameRange[]): Buffer[] | undefined {
    if (partition !== this.partition) return undefined;
    const pieces: Buffer[] = [];
    for (const { sequence, offset, length } of ranges) {
      const frame = this.frames.get(sequence);
      if (frame === undefined) return undefined;
      pieces.push(frame.subarray(offset, offset + length));
    }
    return pieces;
  }

  unload(): void {
    if (this.partition < 0) return;
    this.partition = -1;
    this.frames = new Map();
  }
}
