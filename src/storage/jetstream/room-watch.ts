/**
 * The room on the disk of a nats-server of the node's own.
 *
 * Owns what was last seen of it.
 * 1. Part of the disk is kept free: when only that is left there is no room, so that the server never fails to write.
 * 2. Others write to the disk as well. When even the part kept free was used up, the server may have failed, and
 *    then stores nothing until it is started again: that is told, once there is room.
 */
import { statfs } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "../../base/log.ts";

export interface RoomWatchOptions {
  readonly directory: string;
  readonly bytesKept: number;
  readonly log: Logger;
}

const POLL_MS = 250;
/** Of what is kept free: with less a write may have failed. */
const USED_UP_FRACTION = 1 / 8;
/** Of what is kept free: with so much there is room again, for a while. */
const AGAIN_FACTOR = 1.5;
const MIB = 1024 * 1024;

export class RoomWatch {
  readonly #options: RoomWatchOptions;
  #bytesFree = Infinity;
  #isLacking = false;
  #isUsedUp = false;
  #isClosed = false;
  /** There is room again, after all of it was used. */
  onRefilled: () => void = () => undefined;

  private constructor(options: RoomWatchOptions) {
    this.#options = options;
  }

  static async open(options: RoomWatchOptions): Promise<RoomWatch> {
    const watch = new RoomWatch(options);
    await watch.#look();
    void watch.#follow();
    return watch;
  }

  /** Undefined while there is room. */
  get lack(): string | undefined {
    if (!this.#isLacking) return undefined;
    const { directory, bytesKept } = this.#options;
    const free = `${inMib(this.#bytesFree)} MiB of the disk are free`;
    return `${directory}: ${free}, ${inMib(bytesKept)} MiB are kept so`;
  }

  close(): void {
    this.#isClosed = true;
  }

  async #follow(): Promise<void> {
    for (;;) {
      await delay(POLL_MS, undefined, { ref: false });
      if (this.#isClosed) return;
      await this.#look();
    }
  }

  async #look(): Promise<void> {
    const { directory, bytesKept, log } = this.#options;
    const found = await statfs(directory).catch(() => undefined);
    if (found === undefined || this.#isClosed) return;
    this.#bytesFree = found.bavail * found.bsize;
    if (this.#bytesFree < bytesKept * USED_UP_FRACTION) this.#isUsedUp = true;
    if (this.#bytesFree < bytesKept && !this.#isLacking) {
      this.#isLacking = true;
      log.error({ lack: this.lack }, "the disk is full: nothing is stored until there is room");
    } else if (this.#bytesFree >= bytesKept * AGAIN_FACTOR && this.#isLacking) {
      this.#isLacking = false;
      log.warn({ directory, bytesFree: this.#bytesFree }, "the disk has room again");
      if (this.#isUsedUp) this.onRefilled();
      this.#isUsedUp = false;
    }
  }
}

function inMib(bytes: number): number {
  return Math.floor(bytes / MIB);
}
