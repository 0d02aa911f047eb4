/**
 * One connection, and calls over it.
 *
 * Owns the connection, whether it was closed, and the calls under way.
 * 1. Only a call that has the effect of one when it is made twice is made again: also of a refusal it may be
 *    unknown how far the call got.
 * 2. No attempt begins after the deadline of the call.
 * 3. Nothing goes on after close(): calls under way fail.
 */
import { Client, type ClientReadableStream, credentials, Metadata } from "@grpc/grpc-js";
import type { ServiceError } from "@grpc/grpc-js";
import { setTimeout as delay } from "node:timers/promises";
import { CaxtonError } from "./caxton-error.ts";

const BACKOFF_FIRST_MS = 50;
const BACKOFF_MAX_MS = 2000;
/** The delay is up to this much longer, so that many clients don't come back at once. */
const JITTER = 0.5;

const CHANNEL_OPTIONS = {
  "grpc.max_receive_message_length": -1,
  "grpc.initial_reconnect_backoff_ms": BACKOFF_FIRST_MS,
  "grpc.max_reconnect_backoff_ms": BACKOFF_MAX_MS,
};

/** What is generated for a method, as far as a client needs it. */
export interface Method<Q, A> {
  readonly path: string;
  readonly responseStream: boolean;
  readonly requestSerialize: (request: Q) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => Q;
  readonly responseDeserialize: (bytes: Buffer) => A;
}

export interface ChannelOptions {
  readonly endpoint: string;
  readonly timeoutMs: number;
  readonly attemptsMax: number;
}

interface Call {
  cancel(): void;
}

export interface CallPlan<Q> {
  readonly timeoutMs: number;
  /** Beyond the time: for the server's own answer that it is over. */
  readonly graceMs?: number;
  /** Made again, it has the effect of one. */
  readonly repeatable: boolean;
  /** Of what is left of the time. */
  readonly request: (remainingMs: number) => Partial<Q>;
}

export interface EventStream<E> extends AsyncIterable<E> {
  /** Resolves when the server has begun; rejects when it refused. */
  readonly opened: Promise<void>;
}

export class Channel {
  readonly endpoint: string;
  readonly timeoutMs: number;
  readonly #attemptsMax: number;
  readonly #client: Client;
  readonly #closing = new AbortController();
  readonly #underWay = new Set<Call>();

  constructor({ endpoint, timeoutMs, attemptsMax }: ChannelOptions) {
    this.endpoint = endpoint;
    this.timeoutMs = timeoutMs;
    this.#attemptsMax = attemptsMax;
    this.#client = new Client(endpoint, credentials.createInsecure(), CHANNEL_OPTIONS);
  }

  async call<Q, A>(method: Method<Q, A>, plan: CallPlan<Q>): Promise<A> {
    const endMs = Date.now() + plan.timeoutMs;
    for (let attempt = 1; ; attempt++) {
      try {
        const remainingMs = Math.max(1, endMs - Date.now());
        const request = plan.request(remainingMs);
        return await this.#once(method, request, endMs + (plan.graceMs ?? 0));
      } catch (error) {
        if (!plan.repeatable || !(await this.mayRepeat(error, attempt, endMs))) throw error;
      }
    }
  }

  stream<Q, E>(method: Method<Q, E>, request: Partial<Q>): EventStream<E> {
    const { endpoint } = this;
    const { path, requestSerialize, responseDeserialize } = method;
    const events = this.#client.makeServerStreamRequest(
      ...([path, requestSerialize, responseDeserialize] as const),
      completed(method, request),
    );
    this.#underWay.add(events);
    events.once("status", () => this.#underWay.delete(events));
    const opened = new Promise<void>((resolve, reject) => {
      events.once("metadata", () => resolve());
      events.on("error", (error) => reject(new CaxtonError(error as ServiceError, endpoint)));
    });
    // Nobody may be waiting.
    opened.catch(() => undefined);
    return { opened, [Symbol.asyncIterator]: () => eventsOf(events, endpoint) };
  }

  /** Waits as long as it takes until a failed attempt may be made again; false when it may not. */
  async mayRepeat(error: unknown, attempt: number, endMs: number): Promise<boolean> {
    if (!isRetryable(error) || attempt >= this.#attemptsMax) return false;
    const delayMs = backoffMs(error, attempt);
    return Date.now() + delayMs < endMs && (await this.#pause(delayMs));
  }

  close(): void {
    this.#closing.abort();
    for (const call of this.#underWay) call.cancel();
    this.#client.close();
  }

  #once<Q, A>(method: Method<Q, A>, request: Partial<Q>, deadline: number): Promise<A> {
    const { path, requestSerialize, responseDeserialize } = method;
    return new Promise((resolve, reject) => {
      const call = this.#client.makeUnaryRequest(
        ...([path, requestSerialize, responseDeserialize] as const),
        completed(method, request),
        new Metadata(),
        { deadline },
        (error, answer) => {
          this.#underWay.delete(call);
          if (error === null) resolve(answer!);
          else reject(new CaxtonError(error, this.endpoint));
        },
      );
      this.#underWay.add(call);
    });
  }

  /** False when the connection is closed meanwhile. */
  async #pause(ms: number): Promise<boolean> {
    const { signal } = this.#closing;
    return delay(ms, true, { signal }).catch(() => false);
  }
}

async function* eventsOf<E>(stream: ClientReadableStream<E>, endpoint: string): AsyncGenerator<E> {
  try {
    for await (const event of stream as AsyncIterable<E>) yield event;
  } catch (error) {
    throw new CaxtonError(error as ServiceError, endpoint);
  } finally {
    stream.cancel();
  }
}

/** Fields that were left out have the values of an empty message. */
function completed<Q>(method: Method<Q, unknown>, request: Partial<Q>): Q {
  return { ...method.requestDeserialize(Buffer.alloc(0)), ...request };
}

function isRetryable(error: unknown): error is CaxtonError {
  return error instanceof CaxtonError && error.retryable;
}

function backoffMs({ retryAfterMs }: CaxtonError, attempt: number): number {
  const ownMs = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** (attempt - 1));
  return (retryAfterMs || ownMs) * (1 + Math.random() * JITTER);
}
