/**
 * The flat binary form of a frame: one group commit of one partition. docs/storage-format.md is the
 * reference; test/codec holds golden files. All integers little-endian; "u53" is an f64 holding an integer.
 */
import { crc32 } from "node:zlib";
import { invariant } from "../base/assert.ts";
import { CaxtonError } from "../base/errors.ts";

const FRAME_MAGIC = 0x31465843; // "CXF1"
const FRAME_VERSION = 2;
export const FRAME_HEADER_BYTES = 64;
export const ENTRY_HEADER_BYTES = 8;

export const FRAME_FLAG_EPOCH = 1;

/** Kinds of entry. */
export const ENTRY_ACCEPTED = 1;
export const ENTRY_TURN = 2;
export const ENTRY_TURN_FAILED = 3;
export const ENTRY_DEAD_LETTER = 4;
export const ENTRY_INTENT = 5;
export const ENTRY_CONTROL = 6;
export const ENTRY_SYSTEM_SEND = 7;
export const ENTRY_MOVED = 8;
export const ENTRY_CHECKPOINT = 9;
export const ENTRY_UPGRADE = 10;

/** Where an accepted message came from (flags of ENTRY_ACCEPTED, low bits). */
export const SOURCE_CLIENT = 0;
export const SOURCE_PARTITION = 1;
export const SOURCE_TIMER = 2;
export const SOURCE_SYSTEM = 3;
export const SOURCE_EPHEMERAL = 4;
/** A stream that clients send by: `n` is the message's number there, the incarnation is the stream's, `source` by when it had stored all up to it. */
export const SOURCE_STREAM = 5;
export const SOURCE_MASK = 0x0f;
/** A client message whose id is remembered. */
export const ACCEPTED_REMEMBERED = 0x40;
/** The source's cursor advances but no mailbox gets the message (a reply nobody waits for any more). */
export const ACCEPTED_DISCARDED = 0x80;

/** Flags of ENTRY_TURN. */
export const TURN_OPEN = 1;

export const ACCEPTED_FIXED_BYTES = 16;
export const TURN_FIXED_BYTES = 52;
export const FAILURE_FIXED_BYTES = 28;
export const MOVED_FIXED_BYTES = 8;
export const SHA256_BYTES = 32;

/** Room an entry takes in a frame beyond its variable part. */
export const ACCEPTED_OVERHEAD_BYTES = ENTRY_HEADER_BYTES + ACCEPTED_FIXED_BYTES;
export const TURN_OVERHEAD_BYTES = ENTRY_HEADER_BYTES + TURN_FIXED_BYTES;
export const CHECKPOINT_ENTRY_BYTES = ENTRY_HEADER_BYTES + 8 + SHA256_BYTES;
export const MOVED_OVERHEAD_BYTES = ENTRY_HEADER_BYTES + MOVED_FIXED_BYTES;

export interface FrameHeader {
  readonly flags: number;
  readonly partition: number;
  readonly epoch: number;
  readonly incarnation: number;
  readonly frameNo: number;
  /** Payload CRC of the frame before, 0 for the first. */
  readonly previousCrc: number;
  /** When the frame was sealed; no entry in it is younger. */
  readonly timeMs: number;
  /** Newest frame up to this one that names a checkpoint, 0 when there is none. */
  readonly checkpointFrameNo: number;
  readonly payloadBytes: number;
  readonly entryCount: number;
  readonly payloadCrc: number;
}

/**
 * An actor's memory was exported by one version and imported by another. The entry's overhead is a turn's, so
 * that replay reads either without knowing which it is.
 */
export interface UpgradeFields {
  readonly nowMs: number;
  readonly seed: number;
  /** The new version's. */
  readonly environment: number;
}

/** The partition's state after frame `stateFrameNo`, in a blob. */
export interface CheckpointFields {
  readonly stateFrameNo: number;
  readonly sha256: string;
}

export interface TurnFields {
  readonly consumedSeq: number;
  /** The message whose open handler the turn continued, 0 when the turn began its own. */
  readonly rootSeq: number;
  /** Where the log holds the message. */
  readonly messagePosition: number;
  readonly sendNoBase: number;
  readonly nowMs: number;
  readonly seed: number;
  readonly environment: number;
  readonly digest: number;
  readonly open: boolean;
}

/** A turn was rolled back, or a message given up. */
export interface FailureFields {
  readonly seq: number;
  /** Where the log holds the message. */
  readonly messagePosition: number;
  /** So far. */
  readonly attempts: number;
  /** Failed turn: when it is tried again; dead letter: when. */
  readonly atMs: number;
  readonly code: string;
  readonly reason: string;
}

const utf8 = new TextEncoder();

/**
 * Fills one frame. Owns its buffer, which is shared memory so that the storage thread writes it while
 * messages in it are still read.
 */
export class FrameWriter {
  readonly capacity: number;
  readonly bytes: Buffer;
  private readonly view: DataView;
  private position = FRAME_HEADER_BYTES;
  private entries = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.bytes = Buffer.from(new SharedArrayBuffer(capacity));
    this.view = new DataView(this.bytes.buffer);
  }

  get isEmpty(): boolean {
    return this.entries === 0;
  }

  get usedBytes(): number {
    return this.position;
  }

  get roomBytes(): number {
    return this.capacity - this.position;
  }

  /** What an empty frame takes. */
  get entriesBytesMax(): number {
    return this.capacity - FRAME_HEADER_BYTES;
  }

  start(): void {
    this.position = FRAME_HEADER_BYTES;
    this.entries = 0;
  }

  private entry(kind: number, flags: number, aux: number, payloadBytes: number): number {
    const at = this.position;
    invariant(at + ENTRY_HEADER_BYTES + payloadBytes <= this.capacity, "the entry fits the frame");
    this.view.setUint32(at, kind | (flags << 8) | (aux << 16), true);
    this.view.setUint32(at + 4, payloadBytes, true);
    this.position = at + ENTRY_HEADER_BYTES + payloadBytes;
    this.entries++;
    return at + ENTRY_HEADER_BYTES;
  }

  /** Returns the offset of the envelope in the frame. */
  accepted(
    flags: number,
    source: number,
    sourceIncarnation: number,
    n: number,
    envelope: Buffer,
    offset: number,
    length: number,
  ): number {
    const at = this.entry(ENTRY_ACCEPTED, flags, 0, ACCEPTED_FIXED_BYTES + length);
    this.view.setUint32(at, source, true);
    this.view.setUint32(at + 4, sourceIncarnation, true);
    this.view.setFloat64(at + 8, n, true);
    envelope.copy(this.bytes, at + ACCEPTED_FIXED_BYTES, offset, offset + length);
    return at + ACCEPTED_FIXED_BYTES;
  }

  /** Returns the offset of the effects in the frame; the entry begins TURN_OVERHEAD_BYTES before. */
  turn(
    consumedSeq: number,
    rootSeq: number,
    sendNoBase: number,
    nowMs: number,
    seed: number,
    environment: number,
    digest: number,
    open: boolean,
    messagePosition: number,
    effects: Buffer,
    from: number,
    to: number,
  ): number {
    const at = this.entry(ENTRY_TURN, open ? TURN_OPEN : 0, 0, TURN_FIXED_BYTES + to - from);
    const view = this.view;
    view.setFloat64(at, consumedSeq, true);
    view.setFloat64(at + 8, sendNoBase, true);
    view.setFloat64(at + 16, nowMs, true);
    view.setUint32(at + 24, seed, true);
    view.setUint32(at + 28, environment, true);
    view.setUint32(at + 32, digest, true);
    view.setFloat64(at + 36, rootSeq, true);
    view.setFloat64(at + 44, messagePosition, true);
    effects.copy(this.bytes, at + TURN_FIXED_BYTES, from, to);
    return at + TURN_FIXED_BYTES;
  }

  turnFailed(failure: FailureFields): void {
    this.failure(ENTRY_TURN_FAILED, failure);
  }

  deadLetter(failure: FailureFields): void {
    this.failure(ENTRY_DEAD_LETTER, failure);
  }

  private failure(
    kind: number,
    { seq, messagePosition, attempts, atMs, code, reason }: FailureFields,
  ): void {
    const text = utf8.encode(reason);
    const at = this.entry(kind, 0, code.length, FAILURE_FIXED_BYTES + code.length + text.length);
    this.view.setFloat64(at, seq, true);
    this.view.setFloat64(at + 8, atMs, true);
    this.view.setUint32(at + 16, attempts, true);
    this.view.setFloat64(at + 20, messagePosition, true);
    this.bytes.write(code, at + FAILURE_FIXED_BYTES, "latin1");
    this.bytes.set(text, at + FAILURE_FIXED_BYTES + code.length);
  }

  intent(seq: number, attempt: number): void {
    const at = this.entry(ENTRY_INTENT, 0, 0, 12);
    this.view.setFloat64(at, seq, true);
    this.view.setUint32(at + 8, attempt, true);
  }

  control(json: string): void {
    const text = utf8.encode(json);
    const at = this.entry(ENTRY_CONTROL, 0, 0, text.length);
    this.bytes.set(text, at);
  }

  /** A message the processor itself sends (a failure to an asker). Returns the envelope's offset. */
  systemSend(sendNo: number, envelope: Buffer, offset: number, length: number): number {
    const at = this.entry(ENTRY_SYSTEM_SEND, 0, 0, 8 + length);
    this.view.setFloat64(at, sendNo, true);
    envelope.copy(this.bytes, at + 8, offset, offset + length);
    return at + 8;
  }

  /** A pending message again, whose old place in the log goes. Returns the envelope's offset. */
  moved(seq: number, envelope: Buffer, offset: number, length: number): number {
    const at = this.entry(ENTRY_MOVED, 0, 0, MOVED_FIXED_BYTES + length);
    this.view.setFloat64(at, seq, true);
    envelope.copy(this.bytes, at + MOVED_FIXED_BYTES, offset, offset + length);
    return at + MOVED_FIXED_BYTES;
  }

  /** Returns the offset of the state in the frame, where the exported bytes are. */
  upgrade(fields: UpgradeFields, address: Buffer, state: Buffer): { entry: number; state: number } {
    const bytes = TURN_FIXED_BYTES + address.length + state.length;
    const at = this.entry(ENTRY_UPGRADE, 0, address.length, bytes);
    this.bytes.fill(0, at, at + TURN_FIXED_BYTES);
    this.view.setFloat64(at, fields.nowMs, true);
    this.view.setUint32(at + 8, fields.seed, true);
    this.view.setUint32(at + 12, fields.environment, true);
    const stateAt = at + TURN_FIXED_BYTES + address.length;
    address.copy(this.bytes, at + TURN_FIXED_BYTES);
    state.copy(this.bytes, stateAt);
    return { entry: at - ENTRY_HEADER_BYTES, state: stateAt };
  }

  checkpoint({ stateFrameNo, sha256 }: CheckpointFields): void {
    const at = this.entry(ENTRY_CHECKPOINT, 0, 0, CHECKPOINT_ENTRY_BYTES - ENTRY_HEADER_BYTES);
    this.view.setFloat64(at, stateFrameNo, true);
    this.bytes.write(sha256, at + 8, "hex");
  }

  /** Writes the header and returns the frame, a view of this writer's buffer. */
  seal(header: {
    flags: number;
    partition: number;
    epoch: number;
    incarnation: number;
    frameNo: number;
    previousCrc: number;
    timeMs: number;
    checkpointFrameNo: number;
  }): { frame: Buffer; payloadCrc: number } {
    const { view, bytes, position } = this;
    const payloadCrc = crc32(bytes.subarray(FRAME_HEADER_BYTES, position));
    view.setUint32(0, FRAME_MAGIC, true);
    view.setUint16(4, FRAME_VERSION, true);
    view.setUint16(6, header.flags, true);
    view.setUint32(8, header.partition, true);
    view.setUint32(12, header.epoch, true);
    view.setUint32(16, header.incarnation, true);
    view.setUint32(20, header.previousCrc, true);
    view.setFloat64(24, header.frameNo, true);
    view.setFloat64(32, header.timeMs, true);
    view.setFloat64(40, header.checkpointFrameNo, true);
    view.setUint32(48, position - FRAME_HEADER_BYTES, true);
    view.setUint32(52, this.entries, true);
    view.setUint32(56, payloadCrc, true);
    view.setUint32(60, crc32(bytes.subarray(0, 60)), true);
    return { frame: bytes.subarray(0, position), payloadCrc };
  }
}

/** Checks magic, version, lengths and both checksums. Throws STORAGE_CORRUPT or STORAGE_FORMAT_(NEWER|OLDER). */
export function readFrameHeader(frame: Buffer): FrameHeader {
  if (frame.length < FRAME_HEADER_BYTES) throw corrupt("it is shorter than its header");
  if (frame.readUInt32LE(0) !== FRAME_MAGIC) throw corrupt("it does not begin with CXF1");
  if (frame.readUInt32LE(60) !== crc32(frame.subarray(0, 60))) {
    throw corrupt("its header checksum is wrong");
  }
  const version = frame.readUInt16LE(4);
  if (version !== FRAME_VERSION) {
    throw new CaxtonError(
      version > FRAME_VERSION ? "STORAGE_FORMAT_NEWER" : "STORAGE_FORMAT_OLDER",
      `A frame has format ${String(version)}, this version reads ${String(FRAME_VERSION)}.`,
    );
  }
  const header: FrameHeader = {
    flags: frame.readUInt16LE(6),
    partition: frame.readUInt32LE(8),
    epoch: frame.readUInt32LE(12),
    incarnation: frame.readUInt32LE(16),
    previousCrc: frame.readUInt32LE(20),
    frameNo: frame.readDoubleLE(24),
    timeMs: frame.readDoubleLE(32),
    checkpointFrameNo: frame.readDoubleLE(40),
    payloadBytes: frame.readUInt32LE(48),
    entryCount: frame.readUInt32LE(52),
    payloadCrc: frame.readUInt32LE(56),
  };
  const payload = frame.subarray(FRAME_HEADER_BYTES);
  if (payload.length !== header.payloadBytes) throw corrupt("its length is wrong");
  if (crc32(payload) !== header.payloadCrc) throw corrupt("its checksum is wrong");
  return header;
}

/** The epoch alone, of a frame whose header is known to be sound. */
export function epochOfFrame(frame: Uint8Array): number {
  return new DataView(frame.buffer, frame.byteOffset, FRAME_HEADER_BYTES).getUint32(12, true);
}

export function corrupt(why: string): CaxtonError {
  return new CaxtonError("STORAGE_CORRUPT", `A frame of the log is damaged: ${why}.`);
}
