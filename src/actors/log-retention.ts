/**
 * Keeps what recovery needs no more in the log for a while: traces, histories and resumed subscriptions read it.
 *
 * Owns the floors that partitions asked for and the log was not trimmed to yet.
 * 1. A log is trimmed only to a floor that its partition asked for.
 * 2. A floor takes effect once it is old enough, so much was appended since, or the log is nearly full; the
 *    oldest first. A restart forgets floors: then the next ones take effect later.
 */
import type { Clock } from "../base/clock.ts";
import type { RetentionConfig } from "../base/config-schema.ts";
import { Queue } from "../base/queue.ts";
import type { Scheduler } from "../base/scheduler.ts";
import type { Log } from "../storage/index.ts";

/** Of the log's bytes: above it nothing is kept that need not be. */
const FULL_SHARE = 0.75;
const TIMER_MS_MAX = 60_000;

interface Floor {
  readonly partition: number;
  readonly below: number;
  readonly atMs: number;
  /** Bytes appended to the log by then. */
  readonly atBytes: number;
}

export class LogRetention {
  private readonly log: Pick<Log, "usage" | "trim">;
  private readonly config: () => RetentionConfig;
  private readonly clock: Clock;
  private readonly floors = new Queue<Floor>();
  private readonly scheduler: Scheduler;
  private cancelTimer: () => void = () => undefined;
  private stopped = false;

  constructor(
    log: Pick<Log, "usage" | "trim">,
    /** In force now: a reload may change it. */
    config: () => RetentionConfig,
    clock: Clock,
    scheduler: Scheduler,
  ) {
    this.log = log;
    this.config = config;
    this.clock = clock;
    this.scheduler = scheduler;
  }

  /** The partition needs no frame below this one any more. Resolves when the log was trimmed as far as it may. */
  async add(partition: number, below: number): Promise<void> {
    const { bytesAppended: atBytes } = this.log.usage();
    this.floors.push({ partition, below, atMs: this.clock.monotonicMs(), atBytes });
    await this.apply();
  }

  stop(): void {
    this.stopped = true;
    this.cancelTimer();
  }

  private async apply(): Promise<void> {
    for (;;) {
      const floor = this.floors.peek();
      if (floor === undefined || this.stopped) return;
      if (!this.isDue(floor)) {
        this.applyLater(floor);
        return;
      }
      this.floors.shift();
      await this.log.trim(floor.partition, floor.below);
    }
  }

  private isDue({ atMs, atBytes }: Floor): boolean {
    const { logMs, logBytesMax } = this.config();
    const { bytes, bytesMax, bytesAppended } = this.log.usage();
    return (
      this.clock.monotonicMs() - atMs >= logMs ||
      bytesAppended - atBytes > logBytesMax ||
      bytes > bytesMax * FULL_SHARE
    );
  }

  private applyLater({ atMs }: Floor): void {
    const leftMs = atMs + this.config().logMs - this.clock.monotonicMs();
    this.cancelTimer();
    this.cancelTimer = this.scheduler.after(Math.min(TIMER_MS_MAX, Math.max(1, leftMs)), () => {
      // A failed log says so by itself.
      this.apply().catch(() => undefined);
    });
  }
}
