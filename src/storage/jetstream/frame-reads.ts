/**
 * Frames asked of a stream's leader, not more of them at a time than servers and connection take well, and those
 * that were read in parts for a while.
 *
 * Owns the reads under way and the newest frames that were read in parts.
 * 1. Reads under way have at most READ_BYTES_MAX together, or are one; the others wait in order.
 * 2. A frame never changes, so one that is kept, or on its way, is not asked for again.
 */
import { Queue } from "../../base/queue.ts";

const READS_MAX = 64;
const READ_BYTES_MAX = 8 * 1024 * 1024;
const KEPT_BYTES_MAX = 32 * 1024 * 1024;

type Frame = Uint8Array | undefined;

interface Kept {
  readonly frame: Promise<Frame>;
  readonly bytes: number;
}

export class FrameReads {
  readonly #waiting = new Queue<{ readonly bytes: number; readonly begin: () => void }>();
  /** By stream and place there, oldest first. */
  readonly #kept = new Map<string, Kept>();
  readonly #keptBytesMax: number;
  #keptBytes = 0;
  #reads = 0;
  #readBytes = 0;

  constructor(keptBytesMax = KEPT_BYTES_MAX) {
    this.#keptBytesMax = keptBytesMax;
  }

  /** For whom the frame is his own. */
  async read(bytes: number, ask: () => Promise<Frame>): Promise<Frame> {
    if (!this.#hasRoom(bytes)) {
      await new Promise<void>((begin) => this.#waiting.push({ bytes, begin }));
    } else this.#begin(bytes);
    try {
      return await ask();
    } finally {
      this.#end(bytes);
    }
  }

  /** For those who look at parts of it and change nothing. */
  shared(key: string, bytes: number, ask: () => Promise<Frame>): Promise<Frame> {
    const known = this.#kept.get(key);
    if (known !== undefined) return known.frame;
    const frame = this.read(bytes, ask);
    this.#kept.set(key, { frame, bytes });
    this.#keptBytes += bytes;
    frame.catch(() => this.#forget(key));
    for (const oldest of this.#kept.keys()) {
      if (this.#keptBytes <= this.#keptBytesMax || oldest === key) break;
      this.#forget(oldest);
    }
    return frame;
  }

  #forget(key: string): void {
    this.#keptBytes -= this.#kept.get(key)?.bytes ?? 0;
    this.#kept.delete(key);
  }

  #hasRoom(bytes: number): boolean {
    if (this.#reads === 0) return true;
    return this.#reads < READS_MAX && this.#readBytes + bytes <= READ_BYTES_MAX;
  }

  #begin(bytes: number): void {
    this.#reads++;
    this.#readBytes += bytes;
  }

  #end(bytes: number): void {
    this.#reads--;
    this.#readBytes -= bytes;
    for (let next = this.#waiting.peek(); next !== undefined; next = this.#waiting.peek()) {
      if (!this.#hasRoom(next.bytes)) return;
      this.#waiting.shift();
      this.#begin(next.bytes);
      next.begin();
    }
  }
}
