/**
 * The frames of one partition: appends to its subject, and what is known of it.
 *
 * Owns the partition's index.
 * 1. Appends and looks at the log are done one after the other, in the order asked.
 * 2. The index holds only what the stream's leader showed or acknowledged.
 * 3. An append with an expectation is published only against the newest message that is known, void or not,
 *    so it can't land behind a message nobody here has seen.
 * 4. A leader that shows less than was acknowledged proves nothing for a while: it may be an old one. If that
 *    lasts, the servers have lost frames, and writing stops.
 */
import { CaxtonError } from "../../base/errors.ts";
import type { AppendOutcome, AppendRoom } from "../port.ts";
import type { WriteGate } from "../write-gate.ts";
import { frameHeaders, indexedMessage } from "./frame-headers.ts";
import { type JetStreamApi, type StoredMessage, unavailable } from "./jetstream-api.ts";
import { PartitionIndex } from "./partition-index.ts";
import { full, publish, type PublishOutcome } from "./publisher.ts";
import type { StreamRoom } from "./stream-room.ts";

export interface LogPartitionOptions {
  readonly api: JetStreamApi;
  readonly stream: string;
  readonly subject: string;
  readonly partition: number;
  readonly gate: WriteGate;
  readonly appended: (bytes: number) => void;
  /** Of the stream. */
  readonly room: StreamRoom;
  /** How long a leader may show less than was acknowledged. */
  readonly behindMsMax: number;
}

export class LogPartition {
  readonly index: PartitionIndex;
  readonly #options: LogPartitionOptions;
  #tail: Promise<unknown> = Promise.resolve();
  #behindSinceMs: number | undefined;

  constructor(options: LogPartitionOptions) {
    this.#options = options;
    this.index = new PartitionIndex(options.partition);
  }

  get stream(): string {
    return this.#options.stream;
  }

  get subject(): string {
    return this.#options.subject;
  }

  append(
    expected: number | null,
    frame: Uint8Array,
    epoch: number,
    room: AppendRoom,
  ): Promise<AppendOutcome> {
    return this.#inTurn(async () => {
      this.#options.gate.check();
      if (expected === null) return this.#appendAnywhere(frame, epoch);
      return this.#appendAfter(expected, frame, epoch, room);
    });
  }

  /** Sequence of the newest frame at the stream's leader. */
  newest(): Promise<number> {
    return this.#inTurn(async () => {
      await this.#refresh();
      return this.index.last;
    });
  }

  /** Resolves when everything asked so far is done. */
  async idle(): Promise<void> {
    await this.#tail;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  async #appendAfter(
    expected: number,
    frame: Uint8Array,
    epoch: number,
    room: AppendRoom,
  ): Promise<AppendOutcome> {
    const { index } = this;
    if (index.last !== expected || epoch < index.epoch) {
      const failure = await this.#tryRefresh();
      if (failure !== undefined) return failure;
    }
    if (index.last !== expected || epoch < index.epoch) return refused(index.last);
    const sequence = expected + 1;
    const place = { sequence, expected: index.newestMessage };
    const outcome = await this.#publish(frame, epoch, room, place);
    switch (outcome.kind) {
      case "acked": {
        const { streamSequence } = outcome;
        index.add({ streamSequence, epoch, sequence, bytes: frame.length });
        return this.#acked(sequence, frame);
      }
      case "mismatch": {
        if (outcome.newest < index.newestMessage) return unknown(this.#behind(outcome.newest));
        return (await this.#tryRefresh()) ?? refused(index.last);
      }
      case "unknown":
        return outcome;
      case "full":
        throw full(outcome.cause);
    }
  }

  /** Its number is known when everything up to it is. */
  async #appendAnywhere(frame: Uint8Array, epoch: number): Promise<AppendOutcome> {
    const outcome = await this.#publish(frame, epoch, "reserve", {});
    switch (outcome.kind) {
      case "acked": {
        const failure = await this.#tryRefresh(outcome.streamSequence);
        if (failure !== undefined) return failure;
        const sequence = this.index.sequenceAt(outcome.streamSequence);
        return sequence === undefined ? refused(this.index.last) : this.#acked(sequence, frame);
      }
      case "mismatch":
        return unknown("a refusal of what expects nothing");
      case "unknown":
        return outcome;
      case "full":
        throw full(outcome.cause);
    }
  }

  async #publish(
    frame: Uint8Array,
    epoch: number,
    itsRoom: AppendRoom,
    { sequence, expected }: { sequence?: number; expected?: number },
  ): Promise<PublishOutcome> {
    const { api, stream, subject, room } = this.#options;
    if (!(await room.claim(frame.length, itsRoom))) {
      return {
        kind: "full",
        cause: `storage.sizeBytesMax is reached: ${stream} keeps the rest for frames that make room`,
      };
    }
    let became: "stored" | "unknown" | "refused" = "unknown";
    try {
      const headers = frameHeaders(epoch, sequence);
      const fixed = { stream, subject, body: frame, headers };
      const publication = expected === undefined ? fixed : { ...fixed, expected };
      const outcome = await publish(api.link, publication);
      if (outcome.kind === "acked") became = "stored";
      else if (outcome.kind !== "unknown") became = "refused";
      return outcome;
    } finally {
      room.settle(frame.length, became);
    }
  }

  #acked(sequence: number, frame: Uint8Array): AppendOutcome {
    this.#behindSinceMs = undefined;
    this.#options.appended(frame.length);
    return { kind: "acked", sequence };
  }

  async #tryRefresh(atLeast = 0): Promise<AppendOutcome | undefined> {
    try {
      await this.#refresh(atLeast);
      return undefined;
    } catch (error) {
      if (!(error instanceof CaxtonError) || error.code !== "STORAGE_UNAVAILABLE") throw error;
      return unknown(error.message);
    }
  }

  /** Takes in what the leader has and the index has not. */
  async #refresh(atLeast = 0): Promise<void> {
    const { api, stream, subject } = this.#options;
    const known = Math.max(this.index.newestMessage, atLeast);
    const newest = await api.message(stream, { last_by_subj: subject });
    const shown = newest?.streamSequence ?? 0;
    if (shown < known) throw unavailable(this.#behind(shown));
    this.#behindSinceMs = undefined;
    if (newest === undefined) return;
    while (this.index.newestMessage < shown) this.#add(await this.#next(newest));
  }

  /** The first message that is not in the index; `newest` is known to be one. */
  async #next(newest: StoredMessage): Promise<StoredMessage> {
    const { api, stream, subject } = this.#options;
    const from = this.index.newestMessage + 1;
    if (from === newest.streamSequence) return newest;
    const next = await api.message(stream, { seq: from, next_by_subj: subject });
    if (next !== undefined) return next;
    throw unavailable(`the leader of ${stream} changed while ${subject} was read`);
  }

  #add(message: StoredMessage): void {
    const { subject, streamSequence, body, headers } = message;
    const header = (name: string): string | undefined => headers.get(name);
    this.index.add(indexedMessage({ subject, streamSequence, bytes: body.length, header }));
  }

  /** Says what the leader lacks; throws when it has lacked it for long. */
  #behind(newest: number): string {
    const nowMs = performance.now();
    this.#behindSinceMs ??= nowMs;
    const { subject, stream, gate, behindMsMax } = this.#options;
    const what = `message ${this.index.newestMessage} of ${subject} was acknowledged`;
    const cause = `${what}, the leader of ${stream} shows ${newest} as its newest`;
    if (nowMs - this.#behindSinceMs > behindMsMax) {
      const text = `The NATS servers have lost acknowledged frames: ${cause}.`;
      throw gate.fail(new CaxtonError("STORAGE_CORRUPT", text));
    }
    return cause;
  }
}

function unknown(cause: string): AppendOutcome {
  return { kind: "unknown", cause };
}

function refused(lastSequence: number): AppendOutcome {
  return { kind: "refused", lastSequence };
}
