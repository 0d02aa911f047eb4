/**
 * The stream that clients send by: its readers, and the trimming of what is done with.
 *
 * 1. Nothing is trimmed that a partition may still ask for.
 * 2. One message that waits for room in a mailbox keeps all later ones in the stream. When it has done so for long
 *    and they fill half of it, the message becomes a dead letter: other agents need the room.
 */
import { createHash } from "node:crypto";
import type { JetStreamManager, SeqMsgRequest, StoredMsg } from "@nats-io/jetstream";
import { ensureError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import type { DoorSubjects } from "../../base/nats-subjects.ts";
import type { NodeKernel, SendStream, StreamListener } from "../../actors/index.ts";
import { consumerFrom } from "./consumers.ts";
import { SendIntake, type SendIntakePorts } from "./send-intake.ts";

export interface SendStreamOptions extends Omit<
  SendIntakePorts,
  "stream" | "kernel" | "state" | "storedS"
> {
  readonly jsm: JetStreamManager;
  readonly subjects: DoorSubjects;
  readonly partitions: number;
  readonly openStream: NodeKernel["messages"]["openStream"];
  readonly log: Logger;
  /** How long a message may hold up a stream that is half full. */
  readonly stuckMs: number;
  messagesAccepted(count: number): void;
}

/** Each reads the partitions of its number, modulo this. */
const READERS_MAX = 16;
const TRIM_EVERY_MS = 1000;

export class SendStreamDoor {
  private readonly options: SendStreamOptions;
  private readonly kernel: SendStream;
  private readonly intakes: readonly SendIntake[];
  private trimming: Promise<void> | undefined;
  private readonly trimTimer: NodeJS.Timeout;
  private hasSettled = true;
  private floor = 0;
  private oldest = { n: 0, sinceMs: 0 };

  constructor(options: SendStreamOptions) {
    this.options = options;
    const { jsm, subjects, partitions, openStream } = options;
    const { sendStream: stream, sentTo } = subjects;
    const readers = Math.min(READERS_MAX, partitions);
    this.kernel = openStream(this.listener());
    this.intakes = Array.from({ length: readers }, (_, i) => {
      const own = Array.from({ length: partitions / readers }, (_unused, k) => k * readers + i);
      const name = `intake-${i}`;
      return new SendIntake({
        ...options,
        stream,
        kernel: this.kernel,
        state: () => this.state(),
        name,
        partitions: own,
        consumerFrom: (start) => consumerFrom(jsm, stream, name, own.map(sentTo), start),
        remove: async (consumer) => {
          await jsm.consumers.delete(stream, consumer).catch(() => false);
        },
        hasAfter: async (partition, n) => {
          const query = { seq: n + 1, next_by_subj: sentTo(partition) };
          return (await jsm.streams.getMessage(stream, query)) !== null;
        },
        storedS: async (n) => {
          const found = await jsm.streams.getMessage(stream, { seq: n });
          return found === null ? undefined : secondOf(found);
        },
        firstSince: (partition, seconds) => this.firstSince(sentTo(partition), seconds),
      });
    });
    this.trimTimer = setInterval(() => {
      this.trimming ??= this.trim().finally(() => (this.trimming = undefined));
    }, TRIM_EVERY_MS);
  }

  start(): void {
    for (const intake of this.intakes) intake.start();
  }

  reset(): void {
    for (const intake of this.intakes) intake.reset();
  }

  async stop(): Promise<void> {
    clearInterval(this.trimTimer);
    await Promise.all(this.intakes.map((intake) => intake.stop()));
    await this.trimming;
  }

  private intakeOf(partition: number): SendIntake {
    return this.intakes[partition % this.intakes.length]!;
  }

  private listener(): StreamListener {
    return {
      settled: (partition, settled, accepted) => {
        this.hasSettled = true;
        this.options.messagesAccepted(accepted);
        this.intakeOf(partition).settled(settled);
      },
      refused: (partition, n, error) => {
        this.intakeOf(partition).refused(n, error);
      },
      lost: (partitions) => {
        for (const intake of this.intakes) {
          const own = partitions.filter((partition) => this.intakeOf(partition) === intake);
          if (own.length > 0) intake.lost(own);
        }
      },
    };
  }

  private async state() {
    const { created, state } = await this.info();
    const digest = createHash("sha256").update(created).digest();
    const { first_seq: first, last_seq: last } = state;
    return { incarnation: digest.readUInt32LE(0), first, last };
  }

  /** Leaders' clocks differ: behind the first message of that time older ones may stand. */
  private async firstSince(subject: string, seconds: number): Promise<number | undefined> {
    const { jsm, subjects } = this.options;
    const start_time = new Date(seconds * 1000).toISOString();
    // The server takes it since 2.11; the client's type does not know.
    let query = { start_time, next_by_subj: subject } as unknown as SeqMsgRequest;
    for (;;) {
      const found = await jsm.streams.getMessage(subjects.sendStream, query);
      if (found === null || secondOf(found) >= seconds) return found?.seq;
      const behind = { seq: found.seq + 1, next_by_subj: subject };
      query = behind;
    }
  }

  private info() {
    return this.options.jsm.streams.info(this.options.subjects.sendStream);
  }

  private async trim(): Promise<void> {
    if (!this.hasSettled && this.oldest.n === 0) return;
    this.hasSettled = false;
    try {
      const { state, config } = await this.info();
      const floors = this.intakes.map((intake) => intake.floor(state.last_seq));
      const floor = Math.min(...(await Promise.all(floors)));
      if (floor > this.floor) {
        const { sendStream } = this.options.subjects;
        await this.options.jsm.streams.purge(sendStream, { seq: floor + 1 });
        this.floor = floor;
      }
      // What was settled meanwhile counts the next time.
      if (floor < state.last_seq) this.hasSettled = true;
      this.giveUpIfStuck(state.bytes > config.max_bytes / 2, state.first_seq, state.last_seq);
    } catch (error) {
      this.hasSettled = true;
      const { log, warnings } = this.options;
      if (warnings.isDue(performance.now())) {
        log.warn({ err: ensureError(error) }, "the stream of sends can't be trimmed now");
      }
    }
  }

  private giveUpIfStuck(isHalfFull: boolean, first: number, last: number): void {
    const held = this.intakes.flatMap(({ oldest }) => (oldest === undefined ? [] : [oldest]));
    const [oldest] = held.sort((a, b) => a.n - b.n);
    const nowMs = performance.now();
    if (oldest?.n !== this.oldest.n) this.oldest = { n: oldest?.n ?? 0, sinceMs: nowMs };
    if (oldest === undefined || !isHalfFull) return;
    if (nowMs - this.oldest.sinceMs < this.options.stuckMs) return;
    const upTo = Math.max(oldest.n, first + Math.floor((last - first) / 2));
    this.options.log.warn({ partition: oldest.partition, upTo }, "messages waited too long");
    this.kernel.giveUp(oldest.partition, upTo);
  }
}

function secondOf({ time }: StoredMsg): number {
  return Math.floor(time.getTime() / 1000);
}
