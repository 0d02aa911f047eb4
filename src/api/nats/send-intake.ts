/**
 * Hands messages of the send stream to the kernel, those of some partitions.
 *
 * Owns the messages in hand: read from the stream, and the kernel has not said that nothing is left to do.
 * 1. The reader begins with the oldest message that its partitions are not done with; which of the later ones
 *    they are done with the kernel knows. One in hand is not handed over a second time.
 * 2. What the kernel refuses becomes a dead letter; it is told so when that is durable.
 * 3. Messages and bytes in hand are bounded; then nothing more is read.
 * 4. `readUpTo`: up to there its partitions are done with all that is not in hand.
 * 5. A partition met nothing that was stored after the latest second of what it met: a stream that lost its end numbers
 *    what comes next anew.
 */
import type { DeliveryInfo, JsMsg } from "@nats-io/jetstream";
import type { MsgHdrs } from "@nats-io/transport-node";
import type { SendInput, SendStream, StreamNumber } from "../../actors/index.ts";
import { asCaxtonError, type CaxtonError, ensureError } from "../../base/errors.ts";
import { addressOf, sendSubjectOf, sentPartitionOf } from "../../base/nats-subjects.ts";
import type { OutgoingMessage } from "../../gen/caxton/v1/message.ts";
import { type DeadLetters, isRefusal } from "./dead-letters.ts";
import { headersIn, MESSAGE_ID_HEADER, headerOf, messageOf } from "./envelope-headers.ts";
import { type ReaderPorts, sizeOf, StreamReader } from "./stream-reader.ts";

/** The stream as it is found. */
export interface StreamState {
  /** Tells it from another one of the same name. */
  readonly incarnation: number;
  readonly first: number;
  readonly last: number;
}

export interface SendIntakePorts extends ReaderPorts {
  readonly stream: string;
  readonly kernel: SendStream;
  readonly deadLetters: DeadLetters;
  /** The name of whoever sends by NATS. */
  readonly client: string;
  state(): Promise<StreamState>;
  /** When a message was stored, in seconds since 1970; undefined: there is none of this number. */
  storedS(n: number): Promise<number | undefined>;
  inputOf(message: OutgoingMessage): SendInput;
}

export interface SendIntakeOptions extends SendIntakePorts {
  readonly name: string;
  readonly partitions: readonly number[];
  /** Makes a consumer that begins with this number; resolves with its name. */
  consumerFrom(start: number): Promise<string>;
  remove(consumer: string): Promise<void>;
  /** Whether the stream has a message of the partition behind this number. */
  hasAfter(partition: number, n: number): Promise<boolean>;
  /** Number of its first message of the partition that was stored in this second or later. */
  firstSince(partition: number, seconds: number): Promise<number | undefined>;
}

interface InHand {
  readonly message: JsMsg;
  readonly partition: number;
  readonly bytes: number;
}

const IN_HAND_MAX = 4096;
const IN_HAND_BYTES_MAX = 4 * 1024 * 1024;
const RETRY_MS = 500;

export class SendIntake {
  private readonly options: SendIntakeOptions;
  private readonly reader: StreamReader;
  /** By number of the stream, in its order. */
  private readonly inHand = new Map<number, InHand>();
  private inHandBytes = 0;
  private idPrefix = "";
  /** Newest that each partition was handed, and the latest second of what it was. */
  private readonly newest = new Map<number, StreamNumber>();
  /** It began where the partitions were; none while another is to be made. */
  private consumer: string | undefined;
  private readUpTo = 0;
  private isStopped = false;

  constructor(options: SendIntakeOptions) {
    this.options = options;
    this.reader = new StreamReader({
      ...options,
      renew: () => this.renew(),
      take: (message) => {
        this.take(message);
      },
      isFull: () => this.inHand.size >= IN_HAND_MAX || this.inHandBytes >= IN_HAND_BYTES_MAX,
    });
  }

  start(): void {
    this.reader.start();
  }

  /** What was on its way comes again. */
  reset(): void {
    this.reader.reset();
  }

  /** What is left stays in the stream. */
  async stop(): Promise<void> {
    this.isStopped = true;
    await this.reader.stop();
    if (this.consumer !== undefined) await this.options.remove(this.consumer);
  }

  /** The oldest message in hand. */
  get oldest(): { readonly n: number; readonly partition: number } | undefined {
    if (this.inHand.size === 0) return undefined;
    // A partition that began anew has put older ones behind.
    const n = Math.min(...this.inHand.keys());
    return { n, partition: this.inHand.get(n)!.partition };
  }

  /**
   * Up to where its partitions are done; `last` was the stream's last message a moment ago. The stream itself is
   * asked what there is to read: its consumers hear of a message some time after it was acknowledged.
   */
  async floor(last: number): Promise<number> {
    const { consumer, readUpTo } = this;
    if (consumer === undefined) return 0;
    if (this.inHand.size === 0 && readUpTo < last) {
      const { options } = this;
      const asked = options.partitions.map((each) => options.hasAfter(each, readUpTo));
      const found = await Promise.all(asked);
      // Another may have begun further back.
      if (this.consumer !== consumer) return 0;
      if (!found.includes(true)) this.passed(last);
    }
    return Math.min(last, this.readUpTo, (this.oldest?.n ?? Infinity) - 1);
  }

  settled(settled: readonly number[]): void {
    for (const n of settled) this.letGo(n);
    this.reader.roomMade();
  }

  refused(n: number, error: CaxtonError): void {
    const found = this.inHand.get(n);
    if (found !== undefined) void this.bury(n, found, error);
  }

  /** The worker of these of its partitions is gone. */
  lost(partitions: readonly number[]): void {
    this.forget(partitions);
    this.reader.reset();
  }

  private forget(partitions: readonly number[]): void {
    this.consumer = undefined;
    const own = new Set(partitions);
    for (const [n, { partition }] of this.inHand) if (own.has(partition)) this.letGo(n);
    for (const partition of partitions) this.newest.delete(partition);
  }

  private letGo(n: number): void {
    const found = this.inHand.get(n);
    if (found === undefined) return;
    this.inHand.delete(n);
    this.inHandBytes -= found.bytes;
  }

  private async renew(): Promise<string> {
    const { consumer: old } = this;
    this.consumer = undefined;
    const start = await this.begin();
    const consumer = await this.options.consumerFrom(start);
    this.readUpTo = start - 1;
    this.consumer = consumer;
    if (old !== undefined) await this.options.remove(old);
    return consumer;
  }

  /** The number to read from. */
  private async begin(): Promise<number> {
    const state = await this.options.state();
    this.idPrefix = `nats-${state.incarnation.toString(16)}-`;
    const starts = this.options.partitions.map((partition) => this.beginOf(partition, state));
    return Math.min(...(await Promise.all(starts)));
  }

  private async beginOf(partition: number, state: StreamState): Promise<number> {
    const { kernel } = this.options;
    const { incarnation } = state;
    const place = await kernel.place(partition);
    const isKnown = place.incarnation === incarnation;
    const { n, storedS } = this.newest.get(partition) ?? { n: place.upTo, storedS: 0 };
    const met = { n, storedS: Math.max(storedS, place.upToS) };
    const last = isKnown ? await this.lastOfKnown(partition, met, state) : 0;
    if (isKnown && last === n) return place.floor + 1;
    this.forget([partition]);
    return (await kernel.begin(partition, incarnation, last)).floor + 1;
  }

  /** The newest message that the partition can have met, given the newest that it did meet and the latest second. */
  private async lastOfKnown(
    partition: number,
    { n, storedS }: StreamNumber,
    { first, last }: StreamState,
  ): Promise<number> {
    // What was trimmed was not lost.
    if (n < first) return n;
    if (storedS === 0) return Math.min(n, last);
    const { options } = this;
    // All it met was stored by then, and a server that lost what it had was away for seconds.
    if (n <= last && ((await options.storedS(n)) ?? 0) <= storedS) return n;
    const anew = await options.firstSince(partition, storedS + 1);
    return anew === undefined ? Math.min(n, last) : Math.min(n, anew - 1);
  }

  private take(message: JsMsg): void {
    const { seq: n, subject, info } = message;
    const partition = sentPartitionOf(subject);
    this.passed(n);
    const newest = this.newest.get(partition) ?? { n: 0, storedS: 0 };
    if (n <= newest.n) return;
    const number = { n, storedS: storedSOf(info) };
    this.newest.set(partition, { n, storedS: Math.max(newest.storedS, number.storedS) });
    const bytes = sizeOf(message);
    const held = { message, partition, bytes };
    this.inHand.set(n, held);
    this.inHandBytes += bytes;
    const { kernel } = this.options;
    try {
      const { input, hasOwnId } = this.inputOf(message);
      kernel.offer(partition, number, input, hasOwnId);
    } catch (thrown) {
      const error = asCaxtonError(thrown);
      if (!isRefusal(error.code)) throw error;
      kernel.refuse(partition, number);
      void this.bury(n, held, error);
    }
  }

  private passed(n: number): void {
    this.readUpTo = Math.max(this.readUpTo, n);
  }

  private inputOf(sent: JsMsg): { readonly input: SendInput; readonly hasOwnId: boolean } {
    const { client } = this.options;
    const receiver = addressOf(sent.subject);
    const headers = headersIn(sent);
    const id = this.idOf(sent);
    const message = messageOf({ receiver, client, content: sent.data, headers }, id);
    return { input: this.options.inputOf(message), hasOwnId: message.id !== id };
  }

  /** No other message has it, also where the stream lost its end and gives a number twice. */
  private idOf({ seq, info }: JsMsg): string {
    return `${this.idPrefix}${seq}-${storedSOf(info).toString(16)}`;
  }

  /** Again and again, until it is durable. */
  private async bury(n: number, held: InHand, error: CaxtonError): Promise<void> {
    const { deadLetters, kernel, log, scheduler, warnings } = this.options;
    const { message: sent, partition } = held;
    const headers = headersIfAny(sent);
    const id = headerOf(headers, MESSAGE_ID_HEADER) ?? this.idOf(sent);
    const subject = sendSubjectOf(sent.subject);
    while (!this.isStopped && this.inHand.get(n) === held) {
      try {
        await deadLetters.add({ sent, headers, subject, id, error });
        kernel.disposed(partition, n);
        return;
      } catch (thrown) {
        if (warnings.isDue(performance.now())) {
          log.warn({ err: ensureError(thrown), subject, id }, "a dead letter can't be kept now");
        }
        await new Promise<void>((resolve) => scheduler.after(RETRY_MS, resolve));
      }
    }
  }
}

function storedSOf({ timestampNanos }: DeliveryInfo): number {
  return Math.floor(timestampNanos / 1e9);
}

function headersIfAny(sent: JsMsg): MsgHdrs | undefined {
  try {
    return sent.headers;
  } catch {
    return undefined;
  }
}
