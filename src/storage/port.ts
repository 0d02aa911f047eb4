/**
 * The storage port: everything above this room sees an engine only through these three interfaces.
 * One contract suite (test/contract/storage) runs against every engine.
 */

/**
 * What became of an append.
 * - `acked`: durable at `sequence`.
 * - `unknown`: it may or may not become durable; resend the byte-identical frame.
 * - `refused`: the expected sequence did not match; `lastSequence` is what the engine holds
 *   (read back from the authoritative copy before concluding anything from it).
 */
export type AppendOutcome =
  | { readonly kind: "acked"; readonly sequence: number }
  | { readonly kind: "unknown"; readonly cause: string }
  | { readonly kind: "refused"; readonly lastSequence: number };

/**
 * Whether a frame may take the last of the room, which engines keep for frames that lead to more of it: those that
 * open an epoch, always, and those that name a checkpoint. What was begun when the log became full has to be written
 * ahead of these: it may take most of it; a start finds the rest.
 */
export type AppendRoom = "ordinary" | "begun" | "reserve";

export interface LogRecord {
  /** Dense per partition, starts at 1. */
  readonly sequence: number;
  readonly frame: Uint8Array;
}

/** A byte range inside one stored frame. */
export interface FrameRange {
  readonly sequence: number;
  readonly offset: number;
  readonly length: number;
}

/**
 * The durable sequence of frames of every partition. Frames are opaque bytes here; what an engine must know
 * of them, their epoch, comes beside them.
 *
 * Void frames: where two nodes can write to one log, an epoch frame may land behind one of the same or a higher
 * epoch. It takes no sequence and no reader sees it, so the epochs of the frames that are seen never fall, and
 * each begins with one frame. An engine with one writer per log needs no such rule.
 */
export interface Log {
  /** The largest frame that can be appended. */
  readonly frameBytesMax: number;
  /**
   * Appends one frame of the epoch. `expectedSequence` is the sequence of the frame before it (0 for the
   * first); `null` appends unconditionally and is reserved for epoch frames. A frame of an epoch below one
   * that the log holds is refused; an epoch frame may by then be in the log, void.
   * Appends issued while a commit is in flight become one physical commit, where the engine commits itself.
   * Rejects with STORAGE_FULL (nothing written, try again when there is room) or
   * STORAGE_FAILED (a write or fsync failed: this engine accepts no write any more).
   */
  append(
    partition: number,
    expectedSequence: number | null,
    frame: Uint8Array,
    epoch: number,
    room?: AppendRoom,
  ): Promise<AppendOutcome>;
  /**
   * Sequence of the newest frame of the partition, 0 when there is none. This and the reads below reject
   * with STORAGE_UNAVAILABLE while the authoritative copy can't be reached: try again.
   */
  lastSequence(partition: number): Promise<number>;
  /** The first frame of a partition that never had one will have this number: it is a copy of a log that was trimmed. */
  beginAt(partition: number, firstSequence: number): Promise<void>;
  /** Frames of a partition in order, from `fromSequence` to the newest at the time of the call. */
  scan(partition: number, fromSequence: number): AsyncIterable<LogRecord>;
  /** Reads byte ranges of stored frames, results in the order asked. */
  readRanges(partition: number, ranges: readonly FrameRange[]): Promise<Uint8Array[]>;
  /** Makes frames below `belowSequence` removable. The newest frame of a partition is never removed. */
  trim(partition: number, belowSequence: number): Promise<void>;
  usage(): LogUsage;
}

export interface LogUsage {
  /** Bytes on disk, preallocated space included. */
  readonly bytes: number;
  readonly bytesMax: number;
  /**
   * Of the room for ordinary frames, how much is taken: from 0 to about 1, where they are refused. Where the log has
   * parts that fill by themselves, of the fullest.
   */
  readonly fullShare: number;
  /** Physical commits and fsyncs since the engine was opened; 0 where it leaves them to servers. */
  readonly commits: number;
  readonly fsyncs: number;
  readonly framesAppended: number;
  readonly bytesAppended: number;
  /**
   * Partitions that want a frame from long ago, the oldest first: nothing behind it can go, of other partitions
   * either. A checkpoint and its trim free it. Empty where the engine can get round such frames.
   */
  readonly heldBackBy: readonly HeldBack[];
}

export interface HeldBack {
  readonly partition: number;
  /** The oldest frame that is still wanted. */
  readonly sequence: number;
  /** Of frames of all partitions from that one on. */
  readonly bytes: number;
}

export interface StoredRecord {
  readonly key: string;
  readonly value: Uint8Array;
  /** Rises by one with every write of this key; starts at 1. */
  readonly revision: number;
}

export type RecordWrite =
  | { readonly kind: "written"; readonly revision: number }
  | { readonly kind: "conflict"; readonly revision: number };

/** Key of the record that says what the logs belong to: `{ incarnation, partitions }`. */
export const NODE_RECORD = "node/identity";

/** Small, rarely written records: agents, versions, environments, node facts. */
export interface Records {
  get(key: string): Promise<StoredRecord | undefined>;
  /** `expectedRevision`: 0 = must not exist, n = must be at n, null = whatever it is. Durable when resolved. */
  put(key: string, value: Uint8Array, expectedRevision: number | null): Promise<RecordWrite>;
  delete(key: string, expectedRevision: number | null): Promise<RecordWrite>;
  /** Keys with the prefix, in byte order. */
  list(prefix: string): Promise<StoredRecord[]>;
  /** A hint that something under the prefix changed; may be late or repeated. Returns the stop function. */
  watch(prefix: string, changed: (key: string) => void): () => void;
}

/** Content-addressed immutable bytes. */
export interface Blobs {
  /** Returns the lowercase hex SHA-256 of the content. Durable when resolved; idempotent. */
  put(content: Uint8Array): Promise<string>;
  /** Verifies the hash; undefined when absent; rejects with STORAGE_CORRUPT on a mismatch. */
  get(sha256: string): Promise<Uint8Array | undefined>;
  /**
   * Bytes [offset, offset + length), not checked against the hash: the caller has a checksum of its own.
   * Undefined when the blob is absent, shorter or can't be read.
   */
  readRange(sha256: string, offset: number, length: number): Promise<Uint8Array | undefined>;
  has(sha256: string): Promise<boolean>;
  /** Hashes of all blobs. */
  list(): Promise<string[]>;
  /** What another node has stored since this one was opened may stay: it is about to need it. */
  delete(sha256: string): Promise<void>;
}

export interface Storage {
  readonly engine: "embedded" | "jetstream";
  readonly durability: Durability;
  readonly log: Log;
  readonly records: Records;
  readonly blobs: Blobs;
  /** What opening found, for the operator: a cut torn tail, an unclean stop. */
  readonly opening: StorageOpening;
  /** Finishes what is in flight, writes the clean-stop mark, releases the lock. */
  close(): Promise<void>;
}

/** What an acknowledgement is worth when power fails. */
export interface Durability {
  /** `durable`: synced to disk before it is acknowledged. `fast`: some seconds or minutes later. */
  readonly profile: "durable" | "fast";
  /** False: it is what the configuration says, the engine can't see whether the servers do so. */
  readonly isVerified: boolean;
}

export interface StorageOpening {
  /** False after a crash, a kill or a power loss; true after close() and for a new directory. */
  readonly clean: boolean;
  readonly created: boolean;
  /** Bytes of a torn tail that were cut; 0 when none. */
  readonly tornBytesCut: number;
}
