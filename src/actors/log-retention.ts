/**
 * Keeps what recovery needs no more in the log for a while: traces, histories and resumed subscriptions read it.
 *
 * Owns the floors that partitions asked for and the log was not trimmed to yet.
 * 1. A log is trimmed only to a floor that its partition asked for, and not beyond what `keptFrom` says.
 * 2. A floor takes effect once it is old enough, so much was appended since, or the log is nearly full or asks; the
 *    oldest first. After a restart floors count as new.
 * 3. A floor that `keptFrom` was below is tried again until it is reached.
 */
import type { Clock } from "../base/clock.ts";
import type { RetentionConfig } from "../base/config-schema.ts";
import { Queue } from "../base/queue.ts";
import type { Scheduler } from "../base/scheduler.ts";
import type { Log } from "../storage/index.ts";

/** Of the log's room: above it nothing is kept that need not be. */
const FULL_SHARE = 0.75;
const TIMER_MS_MAX = 60_000;
const HELD_RETRY_MS = 1000;

export interface LogRetentionPorts {
  readonly log: Pick<Log, "usage" | "trim">;
  /** In force now: a reload may change it. */
  readonly config: () => RetentionConfig;
  /** Lowest frame of a partition that must stay, whatever the partition says. */
  readonly keptFrom: (partition: number) => Promise<number>;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
}

interface Floor {
  readonly partition: number;
  readonly below: number;
  readonly atMs: number;
  /** Bytes appended to the log by then. */
  readonly atBytes: number;
}

export class LogRetention {
  private readonly ports: LogRetentionPorts;
  private readonly floors = new Queue<Floor>();
  /** By partition: floors that are due and not reached. */
  private readonly held = new Map<number, number>();
  private cancelTimer: () => void = () => undefined;
  private stopped = false;

  constructor(ports: LogRetentionPorts) {
    this.ports = ports;
  }

  /** The partition needs no frame below this one any more. Resolves when the log was trimmed as far as it may. */
  async add(partition: number, below: number): Promise<void> {
    const { log, clock } = this.ports;
    const { bytesAppended: atBytes } = log.usage();
    this.floors.push({ partition, below, atMs: clock.monotonicMs(), atBytes });
    await this.apply();
  }

  /** Every floor takes effect: a frame found no room, whatever the log's size says. */
  async release(): Promise<void> {
    await this.apply(() => true);
  }

  stop(): void {
    this.stopped = true;
    this.cancelTimer();
  }

  private async apply(
    isDue: (floor: Floor) => boolean = (floor) => this.isDue(floor),
  ): Promise<void> {
    for (const [partition, below] of [...this.held]) await this.trim(partition, below);
    for (;;) {
      const floor = this.floors.peek();
      if (this.stopped) return;
      if (floor === undefined || !isDue(floor)) break;
      this.floors.shift();
      await this.trim(floor.partition, floor.below);
    }
    this.applyLater();
  }

  private async trim(partition: number, below: number): Promise<void> {
    const { log, keptFrom } = this.ports;
    const from = await keptFrom(partition);
    const held = Math.max(below, this.held.get(partition) ?? 0);
    if (from < held) this.held.set(partition, held);
    else this.held.delete(partition);
    await log.trim(partition, Math.min(held, from));
  }

  private isDue({ atMs, atBytes }: Floor): boolean {
    const { log, config, clock } = this.ports;
    const { logMs, logBytesMax } = config();
    const { fullShare, bytesAppended } = log.usage();
    return (
      clock.monotonicMs() - atMs >= logMs ||
      bytesAppended - atBytes > logBytesMax ||
      fullShare > FULL_SHARE
    );
  }

  private applyLater(): void {
    this.cancelTimer();
    const { config, clock, scheduler } = this.ports;
    const next = this.floors.peek();
    const dueMs = next === undefined ? Infinity : next.atMs + config().logMs - clock.monotonicMs();
    const waitMs = Math.min(dueMs, this.held.size > 0 ? HELD_RETRY_MS : Infinity);
    if (waitMs === Infinity) return;
    this.cancelTimer = scheduler.after(Math.min(TIMER_MS_MAX, Math.max(1, waitMs)), () => {
      // A failed log says so by itself.
      this.apply().catch(() => undefined);
    });
  }
}
