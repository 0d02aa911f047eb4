/**
 * Follows the events of all partitions for one follower.
 *
 * Owns the follower, and the record of how far it came in each partition.
 * 1. No event up to the frame that a record names is undelivered; it may lag, so that events come again after a crash.
 * 2. While somebody follows or is awaited, the log keeps what is not delivered yet, and the messages that it came from.
 */
import { CaxtonError, ensureError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { Scheduler } from "../base/scheduler.ts";
import type { Log, Storage } from "../storage/index.ts";
import { type EventFollower, type EventOperations, eventsOf } from "./emitted-events.ts";
import { scanInTimeOrder } from "./log-scan.ts";
import { PartitionEvents } from "./partition-events.ts";
import { sequenceOf } from "./partition/turn-index.ts";
import type { PostedFrame } from "./worker-protocol.ts";

const SAVE_MS = 1000;

export interface EventFeedPorts {
  readonly log: Log;
  readonly records: Storage["records"];
  readonly logger: Logger;
  readonly scheduler: Scheduler;
  readonly partitions: number;
  readonly incarnation: number;
  /** Name of who will follow. */
  readonly awaited?: string | undefined;
}

interface Following {
  readonly name: string;
  readonly follower: EventFollower;
  /** Undefined until its cursor was read. */
  readonly partitions: (PartitionEvents | undefined)[];
  readonly saved: number[];
  begun: Promise<void>;
  cancelSave: () => void;
  isEnded: boolean;
}

export class EventFeed implements EventOperations {
  private readonly ports: EventFeedPorts;
  private following: Following | undefined;
  private isStarted = false;

  constructor(ports: EventFeedPorts) {
    this.ports = ports;
  }

  follow(name: string, follower: EventFollower): () => Promise<void> {
    if (this.following !== undefined) {
      throw new CaxtonError("OVERLOADED", `${this.following.name} follows the events already.`);
    }
    const following: Following = {
      name,
      follower,
      partitions: [],
      saved: [],
      begun: Promise.resolve(),
      cancelSave: () => undefined,
      isEnded: false,
    };
    this.following = following;
    following.begun = this.begin(following);
    return () => this.end(following);
  }

  /** Frames of partitions are durable, those of each in order. */
  committed(frames: readonly PostedFrame[]): void {
    if (this.following === undefined) return;
    const { partitions } = this.following;
    for (const frame of frames) partitions[frame.partition]?.committed(frame);
  }

  /** From now on partitions append. */
  started(): void {
    this.isStarted = true;
  }

  /** Why events wait, and with them the log; undefined while none is known to. */
  get failure(): string | undefined {
    return this.following?.partitions.find((each) => each?.failure !== undefined)?.failure;
  }

  /** Lowest frame of a partition that must stay in the log. */
  async floor(partition: number): Promise<number> {
    const { following } = this;
    const { awaited } = this.ports;
    if (following === undefined && awaited === undefined) return Infinity;
    const events = following?.partitions[partition];
    if (events?.hasCaughtUp === true) return events.floor;
    // What was not looked at yet may come from any message.
    if (this.isStarted || awaited === undefined) return 0;
    return this.floorAtStart(awaited, partition);
  }

  /** Looks through what was not delivered: a start may have to trim before anybody follows. */
  private async floorAtStart(name: string, partition: number): Promise<number> {
    const { log, logger } = this.ports;
    try {
      const cursor = await this.readCursor(name, partition);
      const to = await log.lastSequence(partition);
      const range = { partition, from: cursor + 1, to };
      let oldest = Infinity;
      let passed = to;
      for await (const { header, frame } of scanInTimeOrder(log, [range])) {
        for (const { messagePosition } of eventsOf(frame, header)) {
          oldest = Math.min(oldest, header.frameNo, sequenceOf(messagePosition));
          passed = Math.min(passed, header.frameNo - 1);
        }
      }
      // The follower would take the frames without events for lost ones.
      if (passed > cursor) await this.saveCursor(name, partition, passed);
      return oldest;
    } catch (error) {
      logger.warn({ err: ensureError(error), partition }, "the log keeps all, for its events");
      return 0;
    }
  }

  private async begin(following: Following): Promise<void> {
    const { partitions, scheduler } = this.ports;
    for (let partition = 0; partition < partitions && !following.isEnded; partition++) {
      const cursor = await this.savedCursor(following, partition);
      following.saved[partition] = cursor;
      following.partitions[partition] = new PartitionEvents(
        { ...this.ports, follower: following.follower },
        partition,
        cursor,
      );
    }
    const saveLater = (): void => {
      following.cancelSave = scheduler.after(SAVE_MS, () => {
        void this.save(following).then(() => {
          if (!following.isEnded) saveLater();
        });
      });
    };
    if (!following.isEnded) saveLater();
  }

  private async savedCursor({ name }: Following, partition: number): Promise<number> {
    const { scheduler, logger } = this.ports;
    for (;;) {
      try {
        return await this.readCursor(name, partition);
      } catch (error) {
        logger.warn({ err: ensureError(error), partition }, "events wait");
        if (this.following === undefined) return 0;
        await new Promise<void>((resolve) => scheduler.after(SAVE_MS, resolve));
      }
    }
  }

  private async readCursor(name: string, partition: number): Promise<number> {
    const { records, log } = this.ports;
    const record = await records.get(keyOf(name, partition));
    if (record === undefined) return 0;
    const { frame } = JSON.parse(Buffer.from(record.value).toString()) as { frame: number };
    // A log that was put back from a copy may end before it.
    return Math.min(frame, await log.lastSequence(partition));
  }

  private async saveCursor(name: string, partition: number, frame: number): Promise<void> {
    const value = Buffer.from(JSON.stringify({ frame }));
    await this.ports.records.put(keyOf(name, partition), value, null);
  }

  private async end(following: Following): Promise<void> {
    following.isEnded = true;
    if (this.following === following) this.following = undefined;
    await following.begun;
    following.cancelSave();
    await Promise.all(following.partitions.map(async (partition) => partition?.stop()));
    await this.save(following);
  }

  private async save({ name, partitions, saved }: Following): Promise<void> {
    for (const [partition, events] of partitions.entries()) {
      const frame = events?.cursor ?? 0;
      if (frame === saved[partition]) continue;
      try {
        await this.saveCursor(name, partition, frame);
        saved[partition] = frame;
      } catch (error) {
        this.ports.logger.warn({ err: ensureError(error) }, "how far events came is not saved");
        return;
      }
    }
  }
}

function keyOf(name: string, partition: number): string {
  return `events/${name}/${partition}`;
}
