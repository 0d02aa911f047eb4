/**
 * Reads a stream in order.
 *
 * Owns the consumer.
 * 1. Messages come in the order of the stream. Where one is missing or came before, the consumer is made anew,
 *    and says where to begin. So it is at every start and reconnect.
 * 2. While there is no room nothing is read.
 */
import type { ConsumerMessages, JetStreamClient, JsMsg } from "@nats-io/jetstream";
import { ensureError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import type { Scheduler } from "../../base/scheduler.ts";
import type { Seldom } from "../../base/seldom.ts";

/** Of all readers of the door. */
export interface ReaderPorts {
  readonly jetstream: JetStreamClient;
  /** What a server sends at most in one message. */
  readonly payloadBytesMax: number;
  readonly scheduler: Scheduler;
  readonly log: Logger;
  /** Shared: they fail together. */
  readonly warnings: Seldom;
  /** Throws while the node takes no messages: one that lost its partitions leaves them to their new owner. */
  ready(): Promise<void>;
}

export interface ReaderOptions extends ReaderPorts {
  readonly stream: string;
  /** For people. */
  readonly name: string;
  /** Makes the consumer anew; resolves with its name. */
  renew(): Promise<string>;
  take(message: JsMsg): void;
  isFull(): boolean;
}

const PULL_BYTES_MIN = 2 * 1024 * 1024;
const RETRY_MS = 500;
/**
 * A consumer that gets another leader forgets who waits for messages, and tells nobody when its server died. The
 * client library asks again when two heartbeats are missing, and if there is no leader yet, once more after a pull's time.
 */
const HEARTBEAT_MS = 2000;
const PULL_MS = 5000;

export class StreamReader {
  private readonly options: ReaderOptions;
  private messages: ConsumerMessages | undefined;
  private running: Promise<void> | undefined;
  private roomWaiter: (() => void) | undefined;
  private isReset = false;
  private isStopped = false;

  constructor(options: ReaderOptions) {
    this.options = options;
  }

  start(): void {
    this.running = this.run();
  }

  /** Makes the consumer anew; nothing more is taken before. */
  reset(): void {
    this.isReset = true;
    this.messages?.stop();
    this.roomWaiter?.();
  }

  /** Takes nothing more. */
  async stop(): Promise<void> {
    this.isStopped = true;
    this.reset();
    await this.running;
  }

  /** To be called when there may be room again. */
  roomMade(): void {
    if (!this.options.isFull()) this.roomWaiter?.();
  }

  private async run(): Promise<void> {
    while (!this.isOver()) {
      try {
        await this.takeAll(await this.consume());
      } catch (error) {
        if (this.isOver()) return;
        this.warn(error);
        await new Promise<void>((resolve) => this.options.scheduler.after(RETRY_MS, resolve));
      }
    }
  }

  private isOver(): boolean {
    return this.isStopped;
  }

  private isCutShort(): boolean {
    return this.isReset || this.isStopped;
  }

  private warn(error: unknown): void {
    const { name, log, warnings } = this.options;
    if (!warnings.isDue(performance.now())) return;
    log.warn({ reader: name, err: ensureError(error) }, "NATS messages can't be taken in now");
  }

  private async consume(): Promise<ConsumerMessages> {
    const { jetstream, stream, payloadBytesMax } = this.options;
    await this.options.ready();
    this.isReset = false;
    const name = await this.options.renew();
    const consumer = await jetstream.consumers.get(stream, name);
    const messages = await consumer.consume({
      max_bytes: Math.max(PULL_BYTES_MIN, payloadBytesMax * 2),
      abort_on_missing_resource: true,
      expires: PULL_MS,
      idle_heartbeat: HEARTBEAT_MS,
    });
    this.messages = messages;
    if (this.isCutShort()) messages.stop();
    return messages;
  }

  private async takeAll(messages: ConsumerMessages): Promise<void> {
    let delivered = 0;
    try {
      for await (const message of messages) {
        if (this.isCutShort()) break;
        if (message.info.deliverySequence !== ++delivered) {
          this.options.log.info({ reader: this.options.name }, "NATS messages begin anew");
          break;
        }
        this.options.take(message);
        if (this.options.isFull()) await this.room();
      }
    } finally {
      await messages.close();
    }
  }

  private async room(): Promise<void> {
    while (this.options.isFull() && !this.isCutShort()) {
      await new Promise<void>((resolve) => (this.roomWaiter = resolve));
    }
  }
}

/** What a message takes in memory; grows with the envelope that it becomes. */
export function sizeOf(message: JsMsg): number {
  let bytes = message.data.length;
  try {
    for (const [name, values] of message.headers ?? []) bytes += name.length + values[0]!.length;
  } catch {
    // Malformed: it will be refused.
  }
  return bytes;
}
