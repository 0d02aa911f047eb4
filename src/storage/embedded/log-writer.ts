/**
 * Turns appends into physical commits. Owns the end of the log.
 *
 * 1. One commit is in flight at a time: one write, one fdatasync. What is asked meanwhile is the
 *    next commit.
 * 2. Appends are judged and written in the order asked. One that does not fit is refused whole,
 *    before anything is written.
 * 3. A commit is visible in the index, and its appends are answered, only when it is durable.
 * 4. After a failed write or sync nothing is written any more: what the disk holds then is unknown,
 *    and a second sync may claim success for data the system has dropped.
 */
import { crc32 } from "node:zlib";
import { invariant } from "../../base/assert.ts";
import { CaxtonError } from "../../base/errors.ts";
import type { AppendOutcome, AppendRoom } from "../port.ts";
import {
  alignCommit,
  COMMIT_RECORD_BYTES,
  COMMIT_RECORDS_MAX,
  commitHeadBytes,
  type CommitRecord,
  encodeCommitHead,
} from "./commit-codec.ts";
import { pageAligned } from "./direct-io.ts";
import { type FileSystem, writeFully } from "./file-system.ts";
import type { LogIndex } from "./log-index.ts";
import type { LogEnd } from "./log-recovery.ts";
import { SEGMENT_HEADER_BYTES, type Segment } from "./segment-file.ts";
import type { SegmentStore } from "./segment-store.ts";
import type { WriteGate } from "../write-gate.ts";

/** A frame to write: a new one, or (`carriedSequence`) a copy of one the log already holds. */
interface PendingFrame {
  readonly partition: number;
  readonly expectedSequence: number | null;
  readonly carriedSequence?: number;
  readonly frame: Uint8Array;
  readonly room: AppendRoom;
  readonly settle: (outcome: AppendOutcome) => void;
  readonly reject: (error: CaxtonError) => void;
}

/** What one commit will hold, and the answers it owes. */
interface Group {
  readonly frames: Uint8Array[];
  readonly records: CommitRecord[];
  bytes: number;
  readonly lastSequences: Map<number, number>;
  /** Refusals wait for the commit too: they may be due to a frame in it. */
  readonly answers: { readonly pending: PendingFrame; readonly outcome: AppendOutcome }[];
}

export interface LogWriterCounts {
  commits: number;
  fsyncs: number;
  framesAppended: number;
  bytesAppended: number;
}

export interface LogWriterOptions {
  readonly files: FileSystem;
  readonly index: LogIndex;
  readonly segments: SegmentStore;
  readonly end: LogEnd;
  readonly frameBytesMax: number;
  readonly faultPoint: (name: string) => void;
  readonly gate: WriteGate;
}

/** A commit goes to the disk in pieces of this size. */
const STAGING_BYTES = 4 * 1024 * 1024;

export class LogWriter {
  readonly counts: LogWriterCounts = { commits: 0, fsyncs: 0, framesAppended: 0, bytesAppended: 0 };
  readonly #options: LogWriterOptions;
  readonly #head = Buffer.alloc(commitHeadBytes(COMMIT_RECORDS_MAX));
  readonly #staging = pageAligned(STAGING_BYTES);
  #segment: Segment;
  #position: number;
  #commit: number;
  #crc: number;
  #queue: PendingFrame[] = [];
  #running: Promise<void> | undefined;

  constructor(options: LogWriterOptions) {
    this.#options = options;
    this.#segment = options.segments.newest;
    this.#position = options.end.position;
    this.#commit = options.end.commit;
    this.#crc = options.end.crc;
  }

  get end(): LogEnd {
    const { number: segment } = this.#segment;
    return { commit: this.#commit, crc: this.#crc, segment, position: this.#position };
  }

  append(
    partition: number,
    expectedSequence: number | null,
    frame: Uint8Array,
    room: AppendRoom = "ordinary",
  ): Promise<AppendOutcome> {
    const itsRoom = expectedSequence === null ? "reserve" : room;
    return this.#enqueue({ partition, expectedSequence, frame, room: itsRoom });
  }

  /** Writes a frame the log already holds once more, at its end. */
  carry(partition: number, sequence: number, frame: Uint8Array): Promise<AppendOutcome> {
    const carried = { expectedSequence: null, carriedSequence: sequence };
    return this.#enqueue({ partition, ...carried, frame, room: "reserve" });
  }

  /** Resolves when everything asked so far is answered. */
  async idle(): Promise<void> {
    await this.#running;
  }

  #enqueue(asked: Omit<PendingFrame, "settle" | "reject">): Promise<AppendOutcome> {
    const { frameBytesMax, gate } = this.#options;
    const { frame } = asked;
    if (gate.refusal !== undefined) return Promise.reject(gate.refusal);
    if (frame.length > frameBytesMax) {
      const text = `A frame of ${frame.length} bytes is over the log's limit of ${frameBytesMax}.`;
      return Promise.reject(new CaxtonError("INTERNAL", text));
    }
    return new Promise((settle, reject) => {
      this.#queue.push({ ...asked, settle, reject });
      this.#running ??= this.#run();
    });
  }

  async #run(): Promise<void> {
    // What is asked in the same turn of the event loop belongs together.
    await Promise.resolve();
    const { gate } = this.#options;
    while (this.#queue.length > 0) {
      const group = this.#gather();
      if (group.answers.length === 0) await this.#advance();
      else if (group.frames.length === 0 || (await this.#write(group))) settleAll(group);
      else this.#rejectAll(group.answers.map((answer) => answer.pending));
      if (gate.failed) this.#rejectAll(this.#queue.splice(0));
    }
    this.#running = undefined;
  }

  /** Takes from the queue what the current segment has room for. */
  #gather(): Group {
    const group: Group = {
      frames: [],
      records: [],
      bytes: commitHeadBytes(0),
      lastSequences: new Map(),
      answers: [],
    };
    let taken = 0;
    for (const pending of this.#queue) {
      if (!this.#fits(pending, group.bytes) || group.frames.length === COMMIT_RECORDS_MAX) break;
      taken += 1;
      this.#add(group, pending);
    }
    this.#queue.splice(0, taken);
    return group;
  }

  /** Whether the current segment takes it into a commit of so many bytes. */
  #fits({ frame, room }: PendingFrame, bytes: number): boolean {
    const end = this.#position + alignCommit(bytes + COMMIT_RECORD_BYTES + frame.length);
    return end <= this.#options.segments.endFor(room);
  }

  #add(group: Group, pending: PendingFrame): void {
    const { index } = this.#options;
    const { partition, expectedSequence, carriedSequence, frame } = pending;
    const last = group.lastSequences.get(partition) ?? index.last(partition);
    const carried = carriedSequence !== undefined;
    if (carried && !index.has(partition, carriedSequence)) {
      // Trimmed meanwhile: nothing left to carry.
      group.answers.push({ pending, outcome: { kind: "acked", sequence: carriedSequence } });
      return;
    }
    if (expectedSequence !== null && expectedSequence !== last) {
      group.answers.push({ pending, outcome: { kind: "refused", lastSequence: last } });
      return;
    }
    const sequence = carriedSequence ?? last + 1;
    if (!carried) group.lastSequences.set(partition, sequence);
    const crc = crc32(frame);
    group.records.push({ partition, sequence, carried, length: frame.length, crc });
    group.frames.push(frame);
    group.bytes += COMMIT_RECORD_BYTES + frame.length;
    group.answers.push({ pending, outcome: { kind: "acked", sequence } });
  }

  /** False when it failed. */
  async #write(group: Group): Promise<boolean> {
    const { files, faultPoint, gate } = this.#options;
    const { bytes, records } = group;
    const commit = { number: this.#commit + 1, previousCrc: this.#crc, bytes, records };
    const crc = encodeCommitHead(this.#head, this.#segment.nonce, commit);
    const head = this.#head.subarray(0, commitHeadBytes(records.length));
    try {
      faultPoint("log.before-append");
      await this.#writeSectors([head, ...group.frames]);
      await files.datasync(this.#segment.writeFd);
      faultPoint("log.after-append-before-ack");
    } catch (error) {
      gate.fail(error);
      return false;
    }
    this.#record(group);
    this.#commit = commit.number;
    this.#crc = crc;
    this.#position += alignCommit(bytes);
    return true;
  }

  /** Writes the parts of a commit one after the other, and zeros up to the next sector. */
  async #writeSectors(parts: readonly Uint8Array[]): Promise<void> {
    const staging = this.#staging;
    let position = this.#position;
    let used = 0;
    const flush = async (): Promise<void> => {
      const { files } = this.#options;
      await writeFully(files, this.#segment.writeFd, [staging.subarray(0, used)], position);
      position += used;
      used = 0;
    };
    for (const part of parts) {
      for (let from = 0; from < part.length;) {
        const bytes = Math.min(part.length - from, STAGING_BYTES - used);
        staging.set(part.subarray(from, from + bytes), used);
        from += bytes;
        used += bytes;
        if (used === STAGING_BYTES) await flush();
      }
    }
    const end = alignCommit(used);
    staging.fill(0, used, end);
    used = end;
    if (used > 0) await flush();
  }

  /** Makes a durable commit visible. */
  #record(group: Group): void {
    const { index } = this.#options;
    const segment = this.#segment.number;
    let offset = this.#position + commitHeadBytes(group.records.length);
    for (const { partition, sequence, carried, length, crc } of group.records) {
      const place = { segment, offset, length, crc };
      if (!carried) index.append(partition, sequence, place);
      else if (index.has(partition, sequence)) index.move(partition, sequence, place);
      offset += length;
    }
    this.counts.commits += 1;
    this.counts.fsyncs += 1;
    this.counts.framesAppended += group.records.length;
    this.counts.bytesAppended += group.bytes;
  }

  /** Goes on in the next segment; refuses the frame that needs it when there is none. */
  async #advance(): Promise<void> {
    const [first] = this.#queue;
    invariant(first !== undefined, "a frame needs the segment");
    const next = await this.#options.segments.take(first.room);
    if (this.#options.gate.failed) return;
    if (next !== undefined) {
      this.#segment = next;
      this.#position = SEGMENT_HEADER_BYTES;
      return;
    }
    this.#queue.shift()?.reject(new CaxtonError("STORAGE_FULL", undefined, { retryAfterMs: 1000 }));
  }

  #rejectAll(frames: readonly PendingFrame[]): void {
    const { refusal } = this.#options.gate;
    invariant(refusal !== undefined, "frames are rejected for a reason");
    for (const pending of frames) pending.reject(refusal);
  }
}

function settleAll(group: Group): void {
  for (const { pending, outcome } of group.answers) pending.settle(outcome);
}
