/**
 * What a log stream has room for.
 *
 * Owns what is known of its size: the last look at it, and what was sent since.
 * 1. What this node sent is never counted too low: a message is taken for larger than it is, and one whose fate is
 *    unknown for stored.
 * 2. Ordinary frames are kept out some way below the limit of the stream: what is left is for frames that make room.
 * 3. Before a frame is kept out the stream is looked at, though not all the time.
 */
import type { AppendRoom } from "../port.ts";

/** Subject, headers and what the server adds, rounded up. */
const MESSAGE_BYTES = 256;
/** Kept for frames that open an epoch or name a checkpoint: this part of the stream, at most so much. */
const RESERVE_FRACTION = 1 / 16;
const RESERVE_BYTES_MAX = 8 * 1024 * 1024;
const LOOK_MS = 500;

export class StreamRoom {
  readonly #bytesNow: () => Promise<number>;
  readonly #ordinaryBytesMax: number;
  #bytes = 0;
  #underWayBytes = 0;
  #looking: Promise<void> | undefined;
  #lookAtMs = 0;

  constructor(bytesNow: () => Promise<number>, bytesMax: number) {
    this.#bytesNow = bytesNow;
    const reserve = Math.min(RESERVE_BYTES_MAX, bytesMax * RESERVE_FRACTION);
    this.#ordinaryBytesMax = bytesMax - reserve;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get fullShare(): number {
    return this.#bytes / this.#ordinaryBytesMax;
  }

  async look(): Promise<void> {
    this.#bytes = await this.#bytesNow();
  }

  /** Whether a frame may be sent; then `settle` has to follow. */
  async claim(frameBytes: number, room: AppendRoom): Promise<boolean> {
    const has = (): boolean => room === "reserve" || this.#hasRoom(frameBytes);
    if (!has()) await this.#lookAgain();
    if (!has()) return false;
    this.#underWayBytes += frameBytes + MESSAGE_BYTES;
    return true;
  }

  settle(frameBytes: number, isStored: boolean): void {
    const bytes = frameBytes + MESSAGE_BYTES;
    this.#underWayBytes -= bytes;
    if (isStored) this.#bytes += bytes;
  }

  #hasRoom(frameBytes: number): boolean {
    const bytes = this.#bytes + this.#underWayBytes + frameBytes + MESSAGE_BYTES;
    return bytes <= this.#ordinaryBytesMax;
  }

  async #lookAgain(): Promise<void> {
    if (this.#looking === undefined && performance.now() >= this.#lookAtMs) {
      this.#lookAtMs = performance.now() + LOOK_MS;
      // Servers that are away have no room either; whoever waits for it asks again.
      const looking = this.look().catch(() => undefined);
      this.#looking = looking.finally(() => (this.#looking = undefined));
    }
    await this.#looking;
  }
}
