/**
 * Takes the messages of the topic stream into the kernel.
 *
 * Owns the messages in hand: taken from the stream, not acknowledged to it.
 * 1. A message is acknowledged to the stream when all that became of it is durable.
 * 2. The reader begins with the oldest that was not acknowledged; one in hand is not taken a second time.
 * 3. Messages and bytes in hand are bounded; then nothing more is taken.
 */
import type { JsMsg } from "@nats-io/jetstream";
import type { ConsumerLimits } from "./consumers.ts";
import { SendLanes, type SendOutcome } from "./send-lanes.ts";
import { type ReaderPorts, sizeOf, StreamReader } from "./stream-reader.ts";

export interface TopicIntakeOptions extends ReaderPorts {
  readonly stream: string;
  /** Makes the consumer anew, so that it begins with the oldest message that was not acknowledged. */
  renew(limits: ConsumerLimits): Promise<string>;
  send(message: JsMsg): Promise<SendOutcome>;
}

const IN_HAND_MAX = 2000;
const IN_HAND_BYTES_MAX = 4 * 1024 * 1024;
const ACK_WAIT_MS = 30_000;

export class TopicIntake {
  private readonly reader: StreamReader;
  private readonly lanes: SendLanes<JsMsg>;
  /** By sequence of the stream; the newest copy is the one to acknowledge. */
  private readonly inHand = new Map<number, JsMsg>();
  private inHandBytes = 0;
  private readonly keepAlive: NodeJS.Timeout;

  constructor(options: TopicIntakeOptions) {
    const { scheduler } = options;
    this.lanes = new SendLanes({ scheduler, send: (message) => options.send(message) });
    this.reader = new StreamReader({
      ...options,
      name: "topics",
      renew: () => options.renew({ ackWaitMs: ACK_WAIT_MS, ackPendingMax: IN_HAND_MAX }),
      take: (message) => {
        this.take(message);
      },
      isFull: () => this.inHand.size >= IN_HAND_MAX || this.inHandBytes >= IN_HAND_BYTES_MAX,
    });
    this.keepAlive = setInterval(() => {
      for (const message of this.inHand.values()) message.working();
    }, ACK_WAIT_MS / 3);
  }

  start(): void {
    this.reader.start();
  }

  reset(): void {
    this.reader.reset();
  }

  /** Takes nothing more and resolves when what is under way has its answer. What is left stays in the stream. */
  async stop(): Promise<void> {
    clearInterval(this.keepAlive);
    await Promise.all([this.lanes.stop(), this.reader.stop()]);
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
      this.reader.roomMade();
    });
  }
}
