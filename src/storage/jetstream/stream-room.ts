/**
 * What a log stream has room for.
 *
 * Owns what is known of its size: the last look at it, and what was sent since.
 * 1. What this node sent is never counted too low: a message is taken for larger than it is, and one whose fate is
 *    unknown may have been stored.
 * 2. Ordinary frames are kept out some way below the limit of the stream: what is left is for frames that make room.
 *    All but an eighth of it is also for frames that were begun before.
 * 3. No frame is kept out before the stream was looked at again; that is done only so often.
 */
import { setTimeout as wait } from "node:timers/promises";
import type { AppendRoom } from "../port.ts";

/** Subject, headers and what the server adds, rounded up. */
const MESSAGE_BYTES = 256;
/** Kept for frames that open an epoch or name a checkpoint: this part of the stream, at most so much. */
const RESERVE_FRACTION = 1 / 8;
const RESERVE_BYTES_MAX = 8 * 1024 * 1024;
const LOOK_MS = 500;

export class StreamRoom {
  readonly #bytesNow: () => Promise<number>;
  readonly #ordinaryBytesMax: number;
  readonly #begunBytesMax: number;
  #bytes = 0;
  #underWayBytes = 0;
  /** Of frames since the last look that may be stored or not. */
  #unsureBytes = 0;
  #looking: Promise<boolean> | undefined;
  #lookAtMs = 0;

  constructor(bytesNow: () => Promise<number>, bytesMax: number) {
    this.#bytesNow = bytesNow;
    const reserve = Math.min(RESERVE_BYTES_MAX, bytesMax * RESERVE_FRACTION);
    this.#ordinaryBytesMax = bytesMax - reserve;
    this.#begunBytesMax = bytesMax - reserve / 8;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get fullShare(): number {
    return this.#bytes / this.#ordinaryBytesMax;
  }

  async look(): Promise<void> {
    this.#bytes = await this.#bytesNow();
    this.#unsureBytes = 0;
  }

  /** Whether a frame may be sent; then `settle` has to follow. */
  async claim(frameBytes: number, room: AppendRoom): Promise<boolean> {
    const bytesMax = room === "begun" ? this.#begunBytesMax : this.#ordinaryBytesMax;
    if (room !== "reserve" && !this.#hasRoom(frameBytes, bytesMax)) {
      // Servers that do not answer this will not answer to the frame either.
      const isKnown = await this.#lookAgain();
      if (isKnown && !this.#hasRoom(frameBytes, bytesMax)) return false;
    }
    this.#underWayBytes += frameBytes + MESSAGE_BYTES;
    return true;
  }

  settle(frameBytes: number, outcome: "stored" | "unknown" | "refused"): void {
    const bytes = frameBytes + MESSAGE_BYTES;
    this.#underWayBytes -= bytes;
    if (outcome === "stored") this.#bytes += bytes;
    else if (outcome === "unknown") this.#unsureBytes += bytes;
  }

  #hasRoom(frameBytes: number, bytesMax: number): boolean {
    const sent = this.#bytes + this.#underWayBytes + this.#unsureBytes;
    return sent + frameBytes + MESSAGE_BYTES <= bytesMax;
  }

  /** Whether there was an answer. */
  #lookAgain(): Promise<boolean> {
    this.#looking ??= this.#lookInTime().finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  async #lookInTime(): Promise<boolean> {
    const waitMs = this.#lookAtMs - performance.now();
    if (waitMs > 0) await wait(waitMs, undefined, { ref: false });
    this.#lookAtMs = performance.now() + LOOK_MS;
    try {
      await this.look();
      return true;
    } catch {
      return false;
    }
  }
}
