/**
 * Subscribers of messages: those who are up to date, and those who catch up after they were away.
 *
 * Owns them, and up to where the log of each partition was published.
 * 1. Workers post frames only while there is a subscriber of either kind.
 * 2. A subscriber sees every message of a partition once, in the order of its log: frames come without a gap, or
 *    the subscribers are sent away and come back with their tokens.
 */
import { CaxtonError, ensureError } from "../base/errors.ts";
import type { Log } from "../storage/index.ts";
import { catchUp } from "./catch-up.ts";
import { decodeResumeToken, encodeResumeToken } from "./resume-token.ts";
import { Subscribers } from "./subscribers.ts";
import { decodeMessage } from "./wasm/envelope.ts";
import type { MessageEvent, MessageFilter, MessageSubscriber } from "./watch.ts";
import type { FromWorker } from "./worker-protocol.ts";

/** Each holds a few megabytes of every partition's log. */
const CATCHING_UP_MAX = 4;
const RETRY_AFTER_MS = 1000;
/** Between a commit and its post. */
const WORKER_LOST = "A worker was lost: go on with the newest resume token.";

export interface SubscriptionPorts {
  readonly log: Log;
  readonly partitions: number;
  readonly incarnation: number;
  /** Workers post frames under this number, until another one comes; 0: no more. */
  observe(observation: number): void;
}

export class Subscriptions {
  private readonly ports: SubscriptionPorts;
  private readonly subscribers = new Subscribers<MessageFilter, MessageEvent>(matches);
  private readonly catchingUp = new Set<MessageSubscriber>();
  /** Newest frame published of each partition, while anybody watches. */
  private readonly frames = new Map<number, number>();
  private observation = 0;
  private lastObservation = 0;
  private waiting: (() => void)[] = [];

  constructor(ports: SubscriptionPorts) {
    this.ports = ports;
  }

  /** Returns the function that ends the subscription. With a token it goes on where that was given out. */
  add(subscriber: MessageSubscriber, resumeToken?: string): () => void {
    if (resumeToken !== undefined) this.resume(subscriber, resumeToken);
    else this.subscribers.add(subscriber);
    this.observeWhileWatched();
    return () => {
      this.subscribers.remove(subscriber);
      this.catchingUp.delete(subscriber);
      this.observeWhileWatched();
    };
  }

  private resume(subscriber: MessageSubscriber, token: string): void {
    const { log, partitions, incarnation } = this.ports;
    const cursor = decodeResumeToken(token, partitions, incarnation);
    if (this.catchingUp.size >= CATCHING_UP_MAX) {
      const why = `${CATCHING_UP_MAX} subscribers are catching up already.`;
      throw new CaxtonError("OVERLOADED", why, { retryAfterMs: RETRY_AFTER_MS });
    }
    this.catchingUp.add(subscriber);
    const caughtUp = catchUp(subscriber, cursor, {
      log,
      partitions,
      published: () => this.published(),
      changed: () => new Promise((resolve) => this.waiting.push(resolve)),
      matches: (event) => matches(subscriber.filter, event),
      tokenOf: (at) => encodeResumeToken(at, incarnation),
      hasLeft: () => !this.catchingUp.has(subscriber),
      join: () => {
        this.catchingUp.delete(subscriber);
        this.subscribers.add(subscriber);
      },
    });
    caughtUp.catch((error: unknown) => {
      if (!this.catchingUp.delete(subscriber)) return;
      subscriber.closed(ensureError(error));
      this.observeWhileWatched();
    });
  }

  /** A worker posts frames from now on; these are the newest that it did not post. */
  started({ observation, frames }: Extract<FromWorker, { kind: "observing" }>): void {
    if (observation !== this.observation) return;
    for (const [partition, frame] of frames) {
      if (!this.frames.has(partition)) this.frames.set(partition, frame);
    }
    this.wake();
  }

  publish(posted: Extract<FromWorker, { kind: "messages" }>): void {
    const { observation, partition, frame } = posted;
    if (observation !== this.observation) return;
    const before = this.frames.get(partition) ?? frame - 1;
    if (frame <= before) return;
    if (frame > before + 1) this.subscribers.close(new CaxtonError("NOT_READY", WORKER_LOST));
    else this.publishFrame(posted);
    this.frames.set(partition, frame);
    this.wake();
    this.observeWhileWatched();
  }

  private publishFrame({
    partition,
    frame,
    messages,
    bytes: posted,
  }: Extract<FromWorker, { kind: "messages" }>): void {
    if (this.subscribers.size === 0) return;
    const frames = this.published();
    const { incarnation } = this.ports;
    const bytes = Buffer.from(posted.buffer, posted.byteOffset, posted.length);
    messages.forEach(({ offset }, i) => {
      this.subscribers.publish({
        message: decodeMessage(bytes, offset),
        partition,
        frame,
        // Made for those who want the message.
        get resumeToken() {
          if (frames === undefined) return "";
          return encodeResumeToken({ frames, partition, messages: i + 1 }, incarnation);
        },
      });
    });
  }

  close(): void {
    this.subscribers.close(undefined);
    for (const subscriber of this.catchingUp) subscriber.closed(undefined);
    this.catchingUp.clear();
    this.wake();
  }

  private published(): number[] | undefined {
    const { frames } = this;
    if (frames.size < this.ports.partitions) return undefined;
    return Array.from({ length: this.ports.partitions }, (_, partition) => frames.get(partition)!);
  }

  private wake(): void {
    const { waiting } = this;
    this.waiting = [];
    for (const resolve of waiting) resolve();
  }

  private observeWhileWatched(): void {
    const isWatched = this.subscribers.size + this.catchingUp.size > 0;
    if (isWatched === this.observation > 0) return;
    this.observation = isWatched ? ++this.lastObservation : 0;
    this.frames.clear();
    this.ports.observe(this.observation);
  }
}

function matches(filter: MessageFilter, { message }: MessageEvent): boolean {
  const { address = "", performatives = [], conversationId } = filter;
  const isAddressed =
    address === "" || isUnder(message.receiver, address) || isUnder(message.sender, address);
  const isPerformative = performatives.length === 0 || performatives.includes(message.performative);
  const isConversation = conversationId === undefined || message.conversationId === conversationId;
  return isAddressed && isPerformative && isConversation;
}

/** `default/counter` covers `default/counter/a` but not `default/counters/a`. */
function isUnder(address: string, prefix: string): boolean {
  return address === prefix || address.startsWith(prefix.endsWith("/") ? prefix : `${prefix}/`);
}
