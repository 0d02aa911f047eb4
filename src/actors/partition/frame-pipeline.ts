/**
 * The frames of a partition: one fills while one is in flight.
 *
 * Owns the two frame buffers and what waits for room in them.
 * 1. One frame is in flight at most.
 * 2. What finds no room in the frame that fills waits in order; the first frame with room takes it.
 * 3. `afterCommit` actions run once everything that happened before them is durable.
 */
import { invariant } from "../../base/assert.ts";
import { Queue } from "../../base/queue.ts";
import { CHECKPOINT_ENTRY_BYTES, FRAME_FLAG_EPOCH } from "../../storage/frame-codec.ts";
import type { CheckpointFields, FrameWriter } from "../../storage/frame-codec.ts";
import { OpenFrame } from "./open-frame.ts";
import type { PartitionIdentity } from "./partition-state.ts";
import { logPosition } from "./turn-index.ts";

export interface SealedFrame {
  readonly partition: number;
  readonly frameNo: number;
  /** `null` for the epoch frame, the only append without an expected sequence. */
  readonly expectedSequence: number | null;
  readonly frame: Buffer;
  readonly hasEvents: boolean;
}

/** Where a partition's log ended when its owner took over. */
export interface RecoveredLog {
  readonly lastFrameNo: number;
  readonly lastCrc: number;
  readonly epoch: number;
}

interface Deferred {
  readonly bytes: number;
  readonly run: () => void;
}

export class FramePipeline {
  /** Epoch of this owner. */
  readonly epoch: number;
  /** Number of the frame that fills. */
  frameNo: number;
  committedFrameNo: number;
  /** Bytes of the frames this owner sealed. */
  sealedBytes = 0;
  filling: OpenFrame;
  private readonly identity: PartitionIdentity;
  private readonly nowMs: () => number;
  private spare: OpenFrame;
  private inFlight: OpenFrame | undefined;
  private readonly deferred = new Queue<Deferred>();
  private lastCrc: number;
  private epochSealed = false;
  /** Newest frame that names a checkpoint, the one that fills included. */
  private checkpointFrameNo: number;

  constructor(
    identity: PartitionIdentity,
    log: RecoveredLog,
    checkpointFrameNo: number,
    frameBytesMax: number,
    nowMs: () => number,
  ) {
    this.identity = identity;
    this.nowMs = nowMs;
    this.filling = new OpenFrame(frameBytesMax);
    this.spare = new OpenFrame(frameBytesMax);
    this.lastCrc = log.lastCrc;
    this.checkpointFrameNo = checkpointFrameNo;
    this.epoch = log.epoch + 1;
    this.frameNo = log.lastFrameNo + 1;
    this.committedFrameNo = log.lastFrameNo;
    this.filling.reuse();
  }

  get writer(): FrameWriter {
    return this.filling.writer;
  }

  /** The frame that makes the present state durable. */
  get stateFrameNo(): number {
    return this.writer.isEmpty ? this.frameNo - 1 : this.frameNo;
  }

  /** Whether the frame that fills does. */
  get namesCheckpoint(): boolean {
    return this.checkpointFrameNo === this.frameNo;
  }

  get hasDeferred(): boolean {
    return this.deferred.length > 0;
  }

  /** Whether an entry can be written at once, before what comes after it. */
  hasRoom(bytes: number): boolean {
    return this.deferred.length === 0 && this.writer.roomBytes >= bytes;
  }

  /** Runs an action that writes up to `bytes` into the frame, now or when a frame has room for it. */
  whenRoom(bytes: number, run: () => void): void {
    invariant(bytes <= this.writer.entriesBytesMax, "an entry fits an empty frame");
    if (this.hasRoom(bytes)) run();
    else this.deferred.push({ bytes, run });
  }

  /**
   * Where the log stands when the state is what the sealed frames say, no more and no less; undefined while
   * it is ahead of them.
   */
  get boundary(): RecoveredLog | undefined {
    if (!this.writer.isEmpty || this.hasDeferred) return undefined;
    return { lastFrameNo: this.frameNo - 1, lastCrc: this.lastCrc, epoch: this.epoch };
  }

  /** Names a checkpoint; `durable` is called when its frame is. */
  checkpoint(checkpoint: CheckpointFields, durable: () => void): void {
    this.whenRoom(CHECKPOINT_ENTRY_BYTES, () => {
      this.writer.checkpoint(checkpoint);
      this.checkpointFrameNo = this.frameNo;
      this.filling.afterCommit.push(durable);
    });
  }

  /** Log position of an offset in the frame that fills. */
  position(offset: number): number {
    return logPosition(this.frameNo, offset);
  }

  /** Begins this owner's epoch; `opened` is called when its frame is durable. */
  startEpoch(opened: () => void): void {
    this.filling.afterCommit.push(opened);
  }

  /** The frame that opens the epoch; nothing else may be sealed before it is durable. */
  sealEpochOnce(): SealedFrame | undefined {
    if (this.epochSealed) return undefined;
    this.epochSealed = true;
    return this.sealFilling(FRAME_FLAG_EPOCH, null);
  }

  /** The frame to append now, if there is one and none is in flight. */
  seal(): SealedFrame | undefined {
    if (this.inFlight !== undefined || this.writer.isEmpty) return undefined;
    return this.sealFilling(0, this.frameNo - 1);
  }

  private sealFilling(flags: number, expectedSequence: number | null): SealedFrame {
    const { id: partition, incarnation } = this.identity;
    const { epoch, frameNo, lastCrc: previousCrc } = this;
    const { frame, payloadCrc } = this.writer.seal({
      flags,
      partition,
      epoch,
      incarnation,
      frameNo,
      previousCrc,
      timeMs: this.nowMs(),
      checkpointFrameNo: this.checkpointFrameNo,
    });
    this.lastCrc = payloadCrc;
    this.sealedBytes += frame.length;
    const { hasEvents } = this.filling;
    this.inFlight = this.filling;
    this.filling = this.spare;
    this.filling.reuse();
    this.frameNo++;
    this.runDeferred();
    return { partition, frameNo, expectedSequence, frame, hasEvents };
  }

  /** The frame in flight is durable. Its buffer is reused by the next seal. */
  committed(frameNo: number): OpenFrame {
    const frame = this.inFlight;
    invariant(frame !== undefined && frameNo === this.frameNo - 1, "the frame was in flight");
    this.inFlight = undefined;
    this.spare = frame;
    this.committedFrameNo = frameNo;
    frame.evacuate();
    for (const action of frame.afterCommit) action();
    return frame;
  }

  afterCommit(action: () => void): void {
    if (!this.writer.isEmpty || this.hasDeferred) this.filling.afterCommit.push(action);
    else if (this.inFlight !== undefined) this.inFlight.afterCommit.push(action);
    else action();
  }

  private runDeferred(): void {
    for (let next = this.deferred.peek(); next !== undefined; next = this.deferred.peek()) {
      if (this.writer.roomBytes < next.bytes) return;
      this.deferred.shift();
      next.run();
    }
  }
}
