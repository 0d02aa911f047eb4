/**
 * A log without room: its partitions take checkpoints and begin nothing, until there is room again.
 *
 * Owns whether that is so: since a start that found the log full, or since a frame found no room.
 * 1. While it is, nobody's work is taken up: the reserve is for what was begun, and for the checkpoints behind it.
 * 2. Checkpoints are asked for again, ever more rarely: the first one brings back the memory of actors, only the next
 *    has images of them.
 * 3. There is room when the log's size says so and no frame waits: a disk or an account may be full before the log is.
 */
import { CaxtonError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { Scheduler } from "../base/scheduler.ts";
import type { Log } from "../storage/index.ts";

/** Of the room for ordinary frames: above it a start makes room first. */
const SHORT_SHARE = 15 / 16;
const ROUND_MS = 250;
/** How many rounds a start waits for. */
const START_ROUNDS = 31;
/** From so many on between two reclaims their number doubles no more. */
const RECLAIM_ROUNDS_MAX = 256;

export interface LogRoomPorts {
  readonly log: Pick<Log, "usage">;
  readonly scheduler: Scheduler;
  readonly logger: Logger;
  /** A frame waits for room. */
  isWaitedFor(): boolean;
  /** Trims what may go, and demands checkpoints. */
  reclaim(): void;
  /** There is room, or is not any more. */
  changed(): void;
}

export class LogRoom {
  private readonly ports: LogRoomPorts;
  private readonly waited = Promise.withResolvers<undefined>();
  private cancelRound: () => void = () => undefined;
  private state: "room" | "short" | "making" = "room";

  constructor(ports: LogRoomPorts) {
    this.ports = ports;
  }

  get isShort(): boolean {
    return this.state !== "room";
  }

  /** Before partitions are opened: what can be trimmed was. */
  begin(): void {
    if (!this.isFull) return;
    this.state = "short";
    this.ports.logger.warn("the log is full: checkpoints make room first");
  }

  /** When they are open. Resolves when there is room, or a start should not wait for it any longer. */
  async make(): Promise<void> {
    if (this.state === "room") return;
    if (this.state === "short") this.beginMaking();
    await this.waited.promise;
  }

  /** A frame found no room. */
  refused(): void {
    if (this.isShort) return;
    this.beginMaking();
    this.ports.changed();
    this.ports.reclaim();
  }

  /** There may be room: the log was trimmed, or a frame that waited is written. */
  check(): void {
    if (this.state !== "making" || this.isFull || this.ports.isWaitedFor()) return;
    this.state = "room";
    this.cancelRound();
    this.ports.logger.warn("the log has room again");
    this.ports.changed();
    this.waited.resolve(undefined);
  }

  stop(): void {
    this.cancelRound();
    this.waited.resolve(undefined);
  }

  private get isFull(): boolean {
    return this.ports.log.usage().fullShare > SHORT_SHARE;
  }

  private beginMaking(): void {
    this.state = "making";
    this.round(1, 1);
  }

  private round(number: number, reclaimAt: number): void {
    if (number === START_ROUNDS + 1) {
      const text = "The log is full, and checkpoints have not made room yet.";
      this.ports.logger.error(
        { err: new CaxtonError("STORAGE_FULL", text) },
        "nothing is accepted",
      );
      this.waited.resolve(undefined);
    }
    this.cancelRound = this.ports.scheduler.after(ROUND_MS, () => {
      this.check();
      if (!this.isShort) return;
      if (number < reclaimAt) {
        this.round(number + 1, reclaimAt);
        return;
      }
      this.ports.reclaim();
      this.round(number + 1, number + Math.min(number, RECLAIM_ROUNDS_MAX));
    });
  }
}
