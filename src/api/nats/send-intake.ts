/**
 * Takes messages of the send stream into the kernel, those of some partitions.
 *
 * Owns the consumer, and the messages in hand: taken from the stream, not acknowledged to it.
 * 1. A message is acknowledged to the stream when the kernel's acceptance, or its dead letter, is durable.
 * 2. Messages come in the order of the stream. Where one is missing or came before, the consumer is made anew:
 *    a new one begins with the oldest that was not acknowledged. So it is at every start and reconnect.
 * 3. A message in hand that comes again is not taken a second time.
 * 4. Messages and bytes in hand are bounded; then nothing more is taken.
 */
import type { ConsumerMessages, JetStreamClient, JsMsg } from "@nats-io/jetstream";
import { CaxtonError, ensureError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import type { Scheduler } from "../../base/scheduler.ts";
import type { Seldom } from "../../base/seldom.ts";
import type { ConsumerLimits } from "./consumers.ts";
import { SendLanes, type SendOutcome } from "./send-lanes.ts";

export interface IntakeOptions {
  readonly client: JetStreamClient;
  readonly stream: string;
  /** For people. */
  readonly name: string;
  /** Makes the consumer anew, so that it begins with the oldest message that was not acknowledged. */
  renew(config: ConsumerLimits): Promise<string>;
  /** What a server sends at most in one message. */
  readonly payloadBytesMax: number;
  readonly scheduler: Scheduler;
  readonly log: Logger;
  /** Shared by all intakes: they fail together. */
  readonly warnings: Seldom;
  /** Whether the node takes messages: one that lost its partitions leaves them to their new owner. */
  isReady(): Promise<boolean>;
  send(message: JsMsg): Promise<SendOutcome>;
}

const IN_HAND_MAX = 2000;
const IN_HAND_BYTES_MAX = 4 * 1024 * 1024;
const PULL_BYTES_MIN = 2 * 1024 * 1024;
const ACK_WAIT_MS = 30_000;
const RETRY_MS = 500;

export class SendIntake {
  private readonly options: IntakeOptions;
  private readonly lanes: SendLanes<JsMsg>;
  /** By sequence of the stream; the newest copy is the one to acknowledge. */
  private readonly inHand = new Map<number, JsMsg>();
  private inHandBytes = 0;
  private roomWaiter: (() => void) | undefined;
  private messages: ConsumerMessages | undefined;
  private running: Promise<void> | undefined;
  private readonly keepAlive: NodeJS.Timeout;
  private stopped = false;

  constructor(options: IntakeOptions) {
    this.options = options;
    const { scheduler } = options;
    this.lanes = new SendLanes({ scheduler, send: (message) => options.send(message) });
    this.keepAlive = setInterval(() => {
      for (const message of this.inHand.values()) message.working();
    }, ACK_WAIT_MS / 3);
  }

  start(): void {
    this.running = this.run();
  }

  /** Begins again with the oldest message that was not acknowledged. */
  reset(): void {
    this.messages?.stop();
  }

  /** Takes nothing more and resolves when what is under way has its answer. What is left stays in the stream. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearInterval(this.keepAlive);
    this.messages?.stop();
    this.roomWaiter?.();
    await this.lanes.stop();
    await this.running;
  }

  private async run(): Promise<void> {
    while (!this.isStopped()) {
      try {
        await this.takeAll(await this.consume());
      } catch (error) {
        if (this.isStopped()) return;
        this.warn(error);
        await new Promise<void>((resolve) => this.options.scheduler.after(RETRY_MS, resolve));
      }
    }
  }

  private warn(error: unknown): void {
    const { name, log, warnings } = this.options;
    if (!warnings.isDue(performance.now())) return;
    log.warn({ intake: name, err: ensureError(error) }, "NATS messages can't be taken in now");
  }

  private isStopped(): boolean {
    return this.stopped;
  }

  private async consume(): Promise<ConsumerMessages> {
    const { client, stream, payloadBytesMax } = this.options;
    if (!(await this.options.isReady())) throw new CaxtonError("NOT_READY");
    const name = await this.options.renew({ ackWaitMs: ACK_WAIT_MS, ackPendingMax: IN_HAND_MAX });
    const consumer = await client.consumers.get(stream, name);
    const messages = await consumer.consume({
      max_bytes: Math.max(PULL_BYTES_MIN, payloadBytesMax * 2),
      abort_on_missing_resource: true,
    });
    this.messages = messages;
    if (this.isStopped()) messages.stop();
    return messages;
  }

  private async takeAll(messages: ConsumerMessages): Promise<void> {
    let expected = 1;
    for await (const message of messages) {
      if (message.info.deliverySequence !== expected++) {
        this.options.log.info({ intake: this.options.name }, "NATS messages begin anew");
        break;
      }
      this.take(message);
      if (this.isFull()) await this.room();
      if (this.isStopped()) break;
    }
    await messages.close();
  }

  private take(message: JsMsg): void {
    const { seq } = message;
    const isNew = !this.inHand.has(seq);
    this.inHand.set(seq, message);
    if (!isNew) return;
    const bytes = sizeOf(message);
    this.inHandBytes += bytes;
    this.lanes.add(message.subject, message, bytes, () => {
      this.inHand.get(seq)?.ack();
      this.inHand.delete(seq);
      this.inHandBytes -= bytes;
      if (!this.isFull()) this.roomWaiter?.();
    });
  }

  private isFull(): boolean {
    return this.inHand.size >= IN_HAND_MAX || this.inHandBytes >= IN_HAND_BYTES_MAX;
  }

  private async room(): Promise<void> {
    while (this.isFull() && !this.isStopped()) {
      await new Promise<void>((resolve) => (this.roomWaiter = resolve));
    }
  }
}

/** Grows with the envelope that the message becomes. */
function sizeOf(message: JsMsg): number {
  let bytes = message.data.length;
  try {
    for (const [name, values] of message.headers ?? []) bytes += name.length + values[0]!.length;
  } catch {
    // Malformed: it will be refused.
  }
  return bytes;
}
