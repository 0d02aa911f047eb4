/**
 * Ends workers that sit in guest code beyond any time limit: the last resort behind fuel and the limit round a batch.
 */
import type { Worker } from "node:worker_threads";
import type { Logger } from "../base/log.ts";

export const HANG_WORDS = 2;

export interface WatchedSeat {
  readonly index: number;
  /** Words that the worker writes: its progress, and whether it is in guest code. */
  readonly shared: SharedArrayBuffer;
  thread: Worker | undefined;
}

const CHECK_MS = 1000;
/** Beyond the longest turn time any manifest can ask for. */
const CHECKS_MAX = 90;

export class HangWatchdog {
  private readonly watched: { readonly seat: WatchedSeat; stuckChecks: number; progress: number }[];
  private readonly log: Logger;
  private timer: NodeJS.Timeout | undefined;

  constructor(seats: readonly WatchedSeat[], log: Logger) {
    this.watched = seats.map((seat) => ({ seat, stuckChecks: 0, progress: 0 }));
    this.log = log;
  }

  start(): void {
    this.timer = setInterval(() => {
      this.check();
    }, CHECK_MS);
    this.timer.unref();
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private check(): void {
    for (const each of this.watched) {
      const [progress = 0, inGuest = 0] = new Int32Array(each.seat.shared);
      const isStuck = inGuest === 1 && progress === each.progress;
      each.progress = progress;
      each.stuckChecks = isStuck ? each.stuckChecks + 1 : 0;
      if (each.stuckChecks < CHECKS_MAX) continue;
      each.stuckChecks = 0;
      this.log.error({ worker: each.seat.index }, "worker hangs in guest code, ending it");
      void each.seat.thread?.terminate();
    }
  }
}
