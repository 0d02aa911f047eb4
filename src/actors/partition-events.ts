/**
 * Brings the events of one partition to the follower.
 *
 * Owns how far it came, and the newest frames that it has not looked at.
 * 1. The cursor passes a frame when all its events were delivered, never before.
 * 2. Frames wait in memory up to a bound; what does not fit is read from the log again.
 * 3. What is still to be read is not trimmed: frames, and the messages their events came from.
 */
import { asCaxtonError, ensureError, ERRORS } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { Scheduler } from "../base/scheduler.ts";
import { readFrameHeader } from "../storage/frame-codec.ts";
import type { Log } from "../storage/index.ts";
import { type EventFollower, eventsOf, type FrameEvent } from "./emitted-events.ts";
import { scanInTimeOrder } from "./log-scan.ts";
import { offsetOf, sequenceOf } from "./partition/turn-index.ts";
import { AT_RECEIVER_BYTES, ENVELOPE_HEADER_BYTES, envelopeParts } from "./wasm/envelope.ts";
import type { PostedFrame } from "./worker-protocol.ts";

const WAITING_BYTES_MAX = 4 * 1024 * 1024;
const RETRY_MS = 500;

export interface PartitionEventPorts {
  readonly log: Log;
  readonly logger: Logger;
  readonly scheduler: Scheduler;
  readonly incarnation: number;
  readonly follower: EventFollower;
}

interface FrameEvents {
  readonly frameNo: number;
  readonly atMs: number;
  readonly events: readonly FrameEvent[];
  readonly bytes: number;
}

/** What one takes beside its events. */
const FRAME_BYTES = 128;

export class PartitionEvents {
  private readonly ports: PartitionEventPorts;
  private readonly partition: number;
  private readonly waiting: FrameEvents[] = [];
  private waitingBytes = 0;
  /** There may be frames that do not wait in memory. */
  private mustScan = true;
  private isIdle = false;
  /** Whether there was a moment with nothing left to deliver: only from then on `floor` knows of all messages. */
  hasCaughtUp = false;
  /** Why events wait; undefined while they don't. */
  failure: string | undefined;
  private lowestMessageFrame = Infinity;
  private wake: () => void = () => undefined;
  private stopped = false;
  private readonly running: Promise<void>;
  /** Newest frame of which nothing is left to deliver. */
  cursor: number;

  constructor(ports: PartitionEventPorts, partition: number, cursor: number) {
    this.ports = ports;
    this.partition = partition;
    this.cursor = cursor;
    this.running = this.run();
  }

  /** Lowest frame that must stay in the log. */
  get floor(): number {
    return this.isIdle ? Infinity : Math.min(this.cursor + 1, this.lowestMessageFrame);
  }

  /** The partition's next frame is durable. Its memory is used again afterwards. */
  committed({ frameNo, frame, hasEvents }: PostedFrame): void {
    const next: FrameEvents = hasEvents
      ? frameEventsOf(Buffer.from(frame.buffer, frame.byteOffset, frame.length))
      : { frameNo, atMs: 0, events: [], bytes: FRAME_BYTES };
    const { events } = next;
    if (events.length === 0 && this.isIdle && frameNo === this.cursor + 1) {
      this.cursor = frameNo;
      return;
    }
    this.isIdle = false;
    for (const { messagePosition } of events) {
      this.lowestMessageFrame = Math.min(this.lowestMessageFrame, sequenceOf(messagePosition));
    }
    if (this.waitingBytes + next.bytes > WAITING_BYTES_MAX) {
      this.waiting.length = 0;
      this.waitingBytes = 0;
      this.mustScan = true;
    } else {
      this.waiting.push(next);
      this.waitingBytes += next.bytes;
    }
    // What failed is tried again in a while, not with every commit.
    if (this.failure === undefined) this.wake();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.wake();
    await this.running;
  }

  private async run(): Promise<void> {
    while (!this.isStopped()) {
      try {
        await this.deliverAll();
      } catch (error) {
        const { logger, scheduler } = this.ports;
        const facts = { err: ensureError(error), partition: this.partition };
        if (this.failure === undefined) logger.warn(facts, "events wait, and are tried again");
        this.failure = facts.err.message;
        this.mustScan = true;
        await this.changed((wake) => scheduler.after(RETRY_MS, wake));
      }
    }
  }

  private isStopped(): boolean {
    return this.stopped;
  }

  private async deliverAll(): Promise<void> {
    for (;;) {
      while (this.mustScan && !this.isStopped()) await this.scan();
      const next = this.waiting[0];
      if (this.isStopped()) return;
      if (next === undefined) {
        this.isIdle = true;
        this.hasCaughtUp = true;
        this.failure = undefined;
        this.lowestMessageFrame = Infinity;
        await this.changed();
      } else if (next.frameNo > this.cursor + 1) this.mustScan = true;
      else {
        if (next.frameNo === this.cursor + 1) await this.deliverFrame(next);
        this.dropWaiting(next);
      }
    }
  }

  /** Resolves at the next commit or stop, or when `also` says so. */
  private changed(also?: (wake: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      if (this.isStopped()) resolve();
      this.wake = resolve;
      also?.(resolve);
    });
  }

  private dropWaiting(frame: FrameEvents): void {
    if (this.waiting[0] !== frame) return;
    this.waiting.shift();
    this.waitingBytes -= frame.bytes;
  }

  private async scan(): Promise<void> {
    this.mustScan = false;
    const { log } = this.ports;
    const to = await log.lastSequence(this.partition);
    const range = { partition: this.partition, from: this.cursor + 1, to };
    for await (const { header, frame } of scanInTimeOrder(log, [range])) {
      if (this.cursor > 0 && header.frameNo > this.cursor + 1) this.warnOfGap(header.frameNo);
      await this.deliverFrame(frameEventsOf(frame));
      if (this.isStopped()) return;
    }
    // Frames that a later epoch made void were passed over.
    this.cursor = Math.max(this.cursor, to);
  }

  private warnOfGap(found: number): void {
    const { partition, cursor } = this;
    this.ports.logger.warn(
      { partition, cursor, found },
      "the log no longer has some frames' events",
    );
  }

  private async deliverFrame({ frameNo, atMs, events }: FrameEvents): Promise<void> {
    const { incarnation, follower } = this.ports;
    const addresses = await Promise.all(
      events.map(async (event) => event.address ?? this.emitterOf(event, frameNo)),
    );
    // In this order they are on their way; the next frame waits for all.
    const delivered = events.map(async ({ topic, content }, n) => {
      const address = addresses[n];
      if (address === undefined) return;
      const id = `event-${incarnation.toString(16)}-${this.partition}-${frameNo}-${n}`;
      await follower.deliver({ id, address, topic, content, atMs });
    });
    await Promise.all(delivered);
    this.failure = undefined;
    this.cursor = Math.max(this.cursor, frameNo);
  }

  /** The receiver of the message whose turn emitted the event; undefined when the log has lost it. */
  private async emitterOf(
    { messagePosition }: FrameEvent,
    frameNo: number,
  ): Promise<string | undefined> {
    try {
      return await this.readReceiver(sequenceOf(messagePosition), offsetOf(messagePosition));
    } catch (error) {
      if (ERRORS[asCaxtonError(error).code].retryable) throw error;
      const facts = { partition: this.partition, frame: frameNo, err: ensureError(error) };
      this.ports.logger.error(facts, "an event is lost: the log has its message no more");
      return undefined;
    }
  }

  private async readReceiver(sequence: number, offset: number): Promise<string> {
    const read = async (at: number, length: number): Promise<Buffer> => {
      const ranges = [{ sequence, offset: at, length }];
      const [bytes] = await this.ports.log.readRanges(this.partition, ranges);
      return Buffer.from(bytes!);
    };
    const head = await read(offset, ENVELOPE_HEADER_BYTES);
    const { receiver } = envelopeParts(head, 0);
    return (await read(offset + receiver, head.readUInt16LE(AT_RECEIVER_BYTES))).toString("utf8");
  }
}

function frameEventsOf(frame: Buffer): FrameEvents {
  const header = readFrameHeader(frame);
  const events = eventsOf(frame, header);
  const bytes = events.reduce((sum, { content }) => sum + content.length, FRAME_BYTES);
  return { frameNo: header.frameNo, atMs: header.timeMs, events, bytes };
}
