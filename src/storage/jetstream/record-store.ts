/**
 * Records as the newest messages of their subjects, one subject a key.
 *
 * 1. A record's revision travels in its message. A deleted key leaves a message without value behind: a writer
 *    that still holds an old revision conflicts, also after the key was created anew.
 * 2. A write is compared with the newest message by the stream's leader; what the leader showed is only a
 *    guess of what to compare with.
 * 3. Every write carries an id of its own, by which it is known again when its acknowledgement was lost.
 */
import { nuid } from "@nats-io/transport-node";
import { CaxtonError } from "../../base/errors.ts";
import type { Subjects } from "../../base/nats-subjects.ts";
import type { Records, RecordWrite, StoredRecord } from "../port.ts";
import type { WriteGate } from "../write-gate.ts";
import { type JetStreamApi, type StoredMessage, unavailable } from "./jetstream-api.ts";
import { full, publish } from "./publisher.ts";
import type { RecordWatch } from "./record-watch.ts";

const REVISION_HEADER = "Caxton-Revision";
const DELETED_HEADER = "Caxton-Deleted";
const WRITE_HEADER = "Caxton-Write";
const KEY_BYTES_MAX = 1024;
const WRITE_MS_MAX = 15_000;
const READS_AT_ONCE = 32;

/** The newest message of a key. */
interface Newest {
  readonly streamSequence: number;
  /** Of the message, a deletion's too; 0 when there is none. */
  readonly lastRevision: number;
  /** Of the record, 0 when it is deleted or was never there. */
  readonly revision: number;
  readonly writeId: string | undefined;
}

export interface RecordStoreOptions {
  readonly api: JetStreamApi;
  readonly subjects: Subjects;
  readonly gate: WriteGate;
  readonly watch: RecordWatch;
  readonly valueBytesMax: number;
}

export class RecordStore implements Records {
  readonly #api: JetStreamApi;
  readonly #subjects: Subjects;
  readonly #gate: WriteGate;
  readonly #watch: RecordWatch;
  readonly #valueBytesMax: number;

  constructor({ api, subjects, gate, watch, valueBytesMax }: RecordStoreOptions) {
    this.#api = api;
    this.#subjects = subjects;
    this.#gate = gate;
    this.#watch = watch;
    this.#valueBytesMax = valueBytesMax;
  }

  async get(key: string): Promise<StoredRecord | undefined> {
    const message = await this.#message(this.#subject(key));
    return message === undefined ? undefined : toRecord(key, message);
  }

  put(key: string, value: Uint8Array, expectedRevision: number | null): Promise<RecordWrite> {
    return this.#write(key, value, expectedRevision);
  }

  delete(key: string, expectedRevision: number | null): Promise<RecordWrite> {
    return this.#write(key, undefined, expectedRevision);
  }

  async list(prefix: string): Promise<StoredRecord[]> {
    const { recordStream, allRecords, keyOfRecord } = this.#subjects;
    const subjects = await this.#api.subjectsIn(recordStream, allRecords);
    const keys = subjects.map(keyOfRecord).filter((key) => key.startsWith(prefix));
    keys.sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)));
    const records: StoredRecord[] = [];
    for (let from = 0; from < keys.length; from += READS_AT_ONCE) {
      const some = keys.slice(from, from + READS_AT_ONCE).map((key) => this.get(key));
      for (const record of await Promise.all(some)) if (record !== undefined) records.push(record);
    }
    return records;
  }

  watch(prefix: string, changed: (key: string) => void): () => void {
    return this.#watch.add(prefix, changed);
  }

  async #write(
    key: string,
    value: Uint8Array | undefined,
    expectedRevision: number | null,
  ): Promise<RecordWrite> {
    this.#gate.check();
    const subject = this.#subject(key);
    this.#checkSize(key, value);
    const writeId = nuid.next();
    const ends = performance.now() + WRITE_MS_MAX;
    let tried: Newest | undefined;
    for (;;) {
      const newest = newestOf(await this.#message(subject));
      if (newest.writeId === writeId) return { kind: "written", revision: newest.lastRevision };
      // It may have been written and replaced since.
      const isLost = tried !== undefined && newest.lastRevision > tried.lastRevision + 1;
      if (isLost || performance.now() > ends) {
        throw unavailable(`whether the record ${key} was written is not known`);
      }
      if (expectedRevision !== null && expectedRevision !== newest.revision) {
        return { kind: "conflict", revision: newest.revision };
      }
      if (value === undefined && newest.revision === 0) return { kind: "written", revision: 0 };
      const outcome = await this.#publish(subject, value, newest, writeId);
      if (outcome === "written") return { kind: "written", revision: newest.lastRevision + 1 };
      if (outcome === "unknown") tried = newest;
    }
  }

  async #publish(
    subject: string,
    value: Uint8Array | undefined,
    { streamSequence: expected, lastRevision }: Newest,
    writeId: string,
  ): Promise<"written" | "unknown" | "mismatch"> {
    const headers: Record<string, string> = {
      [REVISION_HEADER]: String(lastRevision + 1),
      [WRITE_HEADER]: writeId,
    };
    if (value === undefined) headers[DELETED_HEADER] = "true";
    const body = value ?? new Uint8Array(0);
    const stream = this.#subjects.recordStream;
    const outcome = await publish(this.#api.link, { stream, subject, body, headers, expected });
    if (outcome.kind === "full") throw full(outcome.cause);
    return outcome.kind === "acked" ? "written" : outcome.kind;
  }

  #message(subject: string): Promise<StoredMessage | undefined> {
    return this.#api.message(this.#subjects.recordStream, { last_by_subj: subject });
  }

  #subject(key: string): string {
    return this.#subjects.record(key);
  }

  #checkSize(key: string, value: Uint8Array | undefined): void {
    const keyBytes = Buffer.byteLength(key);
    const valueBytes = value?.length ?? 0;
    if (keyBytes <= KEY_BYTES_MAX && valueBytes <= this.#valueBytesMax) return;
    const text =
      `A record may have a key of ${KEY_BYTES_MAX} and a value of ${this.#valueBytesMax} bytes; ` +
      `this has ${keyBytes} and ${valueBytes}. Raise max_payload of the NATS servers for larger values.`;
    throw new CaxtonError("INVALID_ARGUMENT", text);
  }
}

function newestOf(message: StoredMessage | undefined): Newest {
  if (message === undefined) {
    return { streamSequence: 0, lastRevision: 0, revision: 0, writeId: undefined };
  }
  const lastRevision = revisionOf(message);
  return {
    streamSequence: message.streamSequence,
    lastRevision,
    revision: message.headers.has(DELETED_HEADER) ? 0 : lastRevision,
    writeId: message.headers.get(WRITE_HEADER),
  };
}

function toRecord(key: string, message: StoredMessage): StoredRecord | undefined {
  if (message.headers.has(DELETED_HEADER)) return undefined;
  return { key, value: message.body, revision: revisionOf(message) };
}

function revisionOf({ headers, subject }: StoredMessage): number {
  const revision = Number(headers.get(REVISION_HEADER));
  if (Number.isSafeInteger(revision) && revision > 0) return revision;
  throw new CaxtonError("STORAGE_CORRUPT", `The newest message on ${subject} is no record.`);
}
