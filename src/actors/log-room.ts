/**
 * A log that is full when a node starts: its partitions take checkpoints, and nothing else, until there is room.
 *
 * Owns whether that is so.
 * 1. While it is, nobody's work is taken up: a frame that waited for room would be in front of the checkpoint that
 *    makes it.
 * 2. Checkpoints are asked for again, ever more rarely: the first one brings back the memory of actors, only the next
 *    has images of them.
 */
import { CaxtonError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { Scheduler } from "../base/scheduler.ts";
import type { Log } from "../storage/index.ts";

/** Of the room for ordinary frames: above it a start makes room first. */
const SHORT_SHARE = 15 / 16;
const ROUND_MS = 250;
const ROUND_MS_MAX = 60_000;
/** How many rounds a start waits for. */
const START_ROUNDS = 5;

export interface LogRoomPorts {
  readonly log: Pick<Log, "usage">;
  readonly scheduler: Scheduler;
  readonly logger: Logger;
  demandCheckpoints(): void;
  /** There is room. */
  found(): void;
}

export class LogRoom {
  private readonly ports: LogRoomPorts;
  private readonly waited = Promise.withResolvers<undefined>();
  private cancelRound: () => void = () => undefined;
  private isMaking = false;
  isShort = false;

  constructor(ports: LogRoomPorts) {
    this.ports = ports;
  }

  /** Before partitions are opened: what can be trimmed was. */
  begin(): void {
    this.isShort = this.isFull;
    if (this.isShort) this.ports.logger.warn("the log is full: checkpoints make room first");
  }

  /** When they are open. Resolves when there is room, or a start should not wait for it any longer. */
  async make(): Promise<void> {
    if (!this.isShort) return;
    this.isMaking = true;
    this.round(1, ROUND_MS);
    await this.waited.promise;
  }

  /** The log was trimmed. */
  check(): void {
    if (!this.isMaking || !this.isShort || this.isFull) return;
    this.isShort = false;
    this.cancelRound();
    this.ports.logger.warn("the log has room again");
    this.ports.found();
    this.waited.resolve(undefined);
  }

  stop(): void {
    this.cancelRound();
    this.waited.resolve(undefined);
  }

  private get isFull(): boolean {
    return this.ports.log.usage().fullShare > SHORT_SHARE;
  }

  private round(number: number, waitMs: number): void {
    if (number === START_ROUNDS + 1) {
      const text = "The log is full, and checkpoints have not made room yet.";
      this.ports.logger.error(
        { err: new CaxtonError("STORAGE_FULL", text) },
        "nothing is accepted",
      );
      this.waited.resolve(undefined);
    }
    this.cancelRound = this.ports.scheduler.after(waitMs, () => {
      this.check();
      if (!this.isShort) return;
      this.ports.demandCheckpoints();
      this.round(number + 1, Math.min(waitMs * 2, ROUND_MS_MAX));
    });
  }
}
