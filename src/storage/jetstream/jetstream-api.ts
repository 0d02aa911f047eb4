/**
 * The few calls of JetStream's API that the engine makes. All of them are answered by the leader of the
 * stream, and all may be repeated: each is tried again for a bounded time while there is no leader.
 */
import { setTimeout as wait } from "node:timers/promises";
import { CaxtonError } from "../../base/errors.ts";
import type { NatsLink } from "./nats-link.ts";

/** JetStream's own numbers for what went wrong. */
const STREAM_NOT_FOUND = 10059;
const MESSAGE_NOT_FOUND = 10037;
export const SUBJECTS_OVERLAP = 10065;
export const INSUFFICIENT_STORAGE: readonly number[] = [10023, 10047, 10002, 10028];
export const STREAMS_MAX_REACHED = 10027;
const UNAVAILABLE = 503;
const RETRY_MS_MIN = 25;
const RETRY_MS_MAX = 400;

/** JetStream answered, and the answer is no. */
export class JetStreamRefusal extends Error {
  readonly number: number;

  constructor(number: number, description: string) {
    super(`${description} (JetStream error ${number})`);
    this.name = "JetStreamRefusal";
    this.number = number;
  }
}

export interface StreamConfig {
  readonly name: string;
  readonly subjects: readonly string[];
  readonly storage: string;
  readonly retention: string;
  readonly discard: string;
  readonly num_replicas: number;
  readonly max_bytes: number;
  readonly max_msgs: number;
  readonly max_age: number;
  readonly max_msgs_per_subject: number;
  readonly deny_delete: boolean;
  readonly deny_purge: boolean;
  readonly allow_direct: boolean;
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface StreamState {
  readonly messages: number;
  readonly bytes: number;
  readonly first_seq: number;
  readonly last_seq: number;
  readonly subjects?: Readonly<Record<string, number>>;
}

export interface StreamInfo {
  readonly config: StreamConfig;
  readonly state: StreamState;
}

export interface StoredMessage {
  readonly subject: string;
  readonly streamSequence: number;
  readonly headers: ReadonlyMap<string, string>;
  /** In memory of its own. */
  readonly body: Uint8Array;
}

export type MessageQuery =
  | { readonly seq: number }
  | { readonly last_by_subj: string }
  /** The first of the subject from `seq` on. */
  | { readonly seq: number; readonly next_by_subj: string };

interface ApiAnswer {
  readonly error?: {
    readonly code: number;
    readonly err_code?: number;
    readonly description?: string;
  };
}

export class JetStreamApi {
  readonly link: NatsLink;

  constructor(link: NatsLink) {
    this.link = link;
  }

  async streamInfo(stream: string): Promise<StreamInfo> {
    return this.#call<StreamInfo & ApiAnswer>("STREAM.INFO", stream, {});
  }

  /** Undefined when there is no such stream. */
  async streamInfoIfAny(stream: string): Promise<StreamInfo | undefined> {
    return ifFound(STREAM_NOT_FOUND, this.streamInfo(stream));
  }

  /** Subjects under the filter that have a message. */
  async subjectsIn(stream: string, filter: string): Promise<string[]> {
    const subjects: string[] = [];
    for (;;) {
      const request = { subjects_filter: filter, offset: subjects.length };
      const answer = await this.#call<StreamInfo & ApiAnswer & { total?: number }>(
        "STREAM.INFO",
        stream,
        request,
      );
      const page = Object.keys(answer.state.subjects ?? {});
      subjects.push(...page);
      if (page.length === 0 || subjects.length >= (answer.total ?? 0)) return subjects;
    }
  }

  async createStream(config: StreamConfig): Promise<void> {
    await this.#call("STREAM.CREATE", config.name, config);
  }

  async updateStream(config: StreamConfig): Promise<void> {
    await this.#call("STREAM.UPDATE", config.name, config);
  }

  async streamsOn(subject: string): Promise<string[]> {
    const answer = await this.link.request("$JS.API.STREAM.NAMES", JSON.stringify({ subject }));
    if (answer.kind === "lost") throw unavailable(`STREAM.NAMES: ${answer.cause}`);
    const { streams } = parse<ApiAnswer & { streams?: string[] | null }>(answer.data);
    return streams ?? [];
  }

  /** Undefined when the leader has no such message. */
  async message(stream: string, query: MessageQuery): Promise<StoredMessage | undefined> {
    const call = this.#call<ApiAnswer & { message: WireMessage }>("STREAM.MSG.GET", stream, query);
    const answer = await ifFound(MESSAGE_NOT_FOUND, call);
    return answer === undefined ? undefined : fromWire(answer.message);
  }

  /** Removes all messages below the sequence, of every subject. */
  async purgeBelow(stream: string, streamSequence: number): Promise<void> {
    await this.#call("STREAM.PURGE", stream, { seq: streamSequence });
  }

  async purgeSubject(stream: string, filter: string): Promise<void> {
    await this.#call("STREAM.PURGE", stream, { filter });
  }

  async #call<T extends ApiAnswer>(verb: string, stream: string, request: object): Promise<T> {
    const what = `${verb}.${stream}`;
    const payload = JSON.stringify(request);
    // A timer may be a moment early: one unanswered try is enough.
    const ends = performance.now() + this.link.answerWaitMs - RETRY_MS_MAX;
    for (let waitMs = RETRY_MS_MIN; ; waitMs = Math.min(waitMs * 2, RETRY_MS_MAX)) {
      const answer = await this.link.request(`$JS.API.${what}`, payload, { stream });
      let cause: string;
      if (answer.kind === "lost") ({ cause } = answer);
      else {
        const value = parse<T>(answer.data);
        if (value.error === undefined) return value;
        const { code, err_code = 0, description = "refused" } = value.error;
        if (code !== UNAVAILABLE) throw new JetStreamRefusal(err_code, description);
        cause = description;
      }
      const isLastTry = performance.now() >= ends || this.link.isEnding;
      if (isLastTry) throw unavailable(`${what}: ${cause}`);
      await wait(waitMs);
    }
  }
}

export function unavailable(what: string): CaxtonError {
  const text = `The storage servers do not answer: ${what}.`;
  return new CaxtonError("STORAGE_UNAVAILABLE", text, { retryAfterMs: 1000 });
}

function parse<T extends ApiAnswer>(data: Uint8Array): T {
  return JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.length).toString()) as T;
}

interface WireMessage {
  readonly subject: string;
  readonly seq: number;
  readonly hdrs?: string;
  readonly data?: string;
}

function fromWire({ subject, seq, hdrs = "", data = "" }: WireMessage): StoredMessage {
  return { subject, streamSequence: seq, headers: parseHeaders(hdrs), body: decode(data) };
}

function decode(base64: string): Uint8Array {
  const bytes = Buffer.from(base64, "base64");
  // The memory of a small one is shared with unrelated values.
  const isAlone = bytes.length > 0 && bytes.buffer.byteLength === bytes.length;
  return isAlone ? new Uint8Array(bytes.buffer) : new Uint8Array(bytes);
}

function parseHeaders(base64: string): Map<string, string> {
  const headers = new Map<string, string>();
  // The first line is the version.
  for (const line of Buffer.from(base64, "base64").toString().split("\r\n").slice(1)) {
    const colon = line.indexOf(":");
    if (colon > 0) headers.set(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return headers;
}

async function ifFound<T>(notFound: number, call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof JetStreamRefusal && error.number === notFound) return undefined;
    throw error;
  }
}
