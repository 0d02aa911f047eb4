/**
 * The frames of a run as the servers hold them.
 *
 * Owns all frames. A frame is first written, then durable; what is only written may be cut.
 * 1. What was trimmed is gone; that it was read is for the reader to judge.
 * 2. A follower shows what the leader had a while ago.
 */
import type { SeededRandom } from "../../src/base/random.ts";
import { readFrameHeader } from "../../src/storage/frame-codec.ts";
import { checkpointOf } from "../../src/storage/frame-entries.ts";
import type { FrameRange, LogRecord } from "../../src/storage/index.ts";
import type { Branch, Coverage } from "./coverage.ts";
import { promise } from "./failure.ts";
import { FOLLOWER_LAG_MS_MAX } from "./sim-blobs.ts";
import type { ReadsAt } from "./sim-blobs.ts";

interface Trim {
  readonly below: number;
  readonly atMs: number;
}

interface PartitionFrames {
  readonly frames: Buffer[];
  /** When each was written. */
  readonly writtenAtMs: number[];
  readonly trims: Trim[];
  durable: number;
  trimmedBelow: number;
}

/** What the newest acting frame says. */
export interface NamedCheckpoint {
  readonly sha256: string;
  readonly stateFrameNo: number;
  readonly frameNo: number;
}

export interface SimFramesPorts {
  readonly partitions: number;
  readonly random: SeededRandom;
  readonly coverage: Coverage;
  nowMs(): number;
  durable(partition: number, sequence: number, frame: Buffer): void;
}

export class SimFrames {
  private readonly ports: SimFramesPorts;
  private readonly logs: PartitionFrames[];

  constructor(ports: SimFramesPorts) {
    this.ports = ports;
    this.logs = Array.from({ length: ports.partitions }, () => ({
      frames: [],
      writtenAtMs: [],
      trims: [],
      durable: 0,
      trimmedBelow: 1,
    }));
  }

  // --- Writing ------------------------------------------------------------------------------------------

  written(partition: number): number {
    return this.logs[partition]!.frames.length;
  }

  newestEpoch(partition: number): number {
    const last = this.logs[partition]!.frames.at(-1);
    return last === undefined ? 0 : readFrameHeader(last).epoch;
  }

  push(partition: number, frame: Buffer): void {
    const { frames, writtenAtMs } = this.logs[partition]!;
    frames.push(frame);
    writtenAtMs.push(this.ports.nowMs());
  }

  /** Makes durable what is written, up to a sequence. */
  syncTo(partition: number, sequence: number): void {
    const log = this.logs[partition]!;
    while (log.durable < sequence) {
      const frame = log.frames[log.durable]!;
      log.durable++;
      this.ports.durable(partition, log.durable, frame);
    }
  }

  syncAll(): void {
    this.logs.forEach(({ frames }, partition) => {
      this.syncTo(partition, frames.length);
    });
  }

  /** Of what is only written any part is lost; the rest is durable by that. */
  cutUnsynced(branch: Branch): void {
    const { random, coverage } = this.ports;
    this.logs.forEach(({ frames, durable }, partition) => {
      const unsynced = frames.length - durable;
      const kept = random.below(unsynced + 1);
      if (kept < unsynced) coverage.hit(branch, unsynced - kept);
      this.cutTo(partition, durable + kept);
      this.syncTo(partition, frames.length);
    });
  }

  private cutTo(partition: number, length: number): void {
    const log = this.logs[partition]!;
    log.frames.length = length;
    log.writtenAtMs.length = length;
    log.durable = Math.min(log.durable, length);
  }

  /** What was written after that moment is gone; what was trimmed may be there again. */
  loseSince(partition: number, atMs: number, undoesTrims: boolean): void {
    const log = this.logs[partition]!;
    const kept = log.writtenAtMs.findLastIndex((writtenAtMs) => writtenAtMs <= atMs) + 1;
    if (kept < log.frames.length) this.ports.coverage.hit("acknowledged tail lost");
    this.cutTo(partition, kept);
    this.syncTo(partition, kept);
    if (!undoesTrims) return;
    while ((log.trims.at(-1)?.atMs ?? -Infinity) > atMs) log.trims.pop();
    log.trimmedBelow = log.trims.at(-1)?.below ?? 1;
  }

  /** The newest frame stays where a log is trimmed: none is left only of a log that was lost. */
  isLost(partition: number): boolean {
    const { frames, trimmedBelow } = this.logs[partition]!;
    return frames.length < trimmedBelow && trimmedBelow > 1;
  }

  trim(partition: number, below: number): void {
    const log = this.logs[partition]!;
    promise(below <= log.durable, () => `partition ${partition} would be trimmed whole`);
    if (below <= log.trimmedBelow) return;
    log.trimmedBelow = below;
    log.trims.push({ below, atMs: this.ports.nowMs() });
    this.ports.coverage.hit("log trimmed");
  }

  // --- Reading ------------------------------------------------------------------------------------------

  /** A frame, trimmed or not: for the checks. */
  frame(partition: number, sequence: number): Buffer | undefined {
    return this.logs[partition]!.frames[sequence - 1];
  }

  /** Sequence of the newest frame that is shown. A read shows nothing that may still be lost. */
  lastSequence(partition: number, at: ReadsAt): number {
    const { frames, writtenAtMs } = this.logs[partition]!;
    this.syncTo(partition, frames.length);
    if (at === "leader") return frames.length;
    const shownMs = this.ports.nowMs() - this.ports.random.nextFloat() * FOLLOWER_LAG_MS_MAX;
    return writtenAtMs.findLastIndex((atMs) => atMs <= shownMs) + 1;
  }

  /** Frames that are left, up to a sequence. */
  records(partition: number, from: number, to: number): LogRecord[] {
    const { frames, trimmedBelow } = this.logs[partition]!;
    const first = Math.max(from, trimmedBelow);
    return frames
      .slice(first - 1, Math.max(first - 1, to))
      .map((frame, i) => ({ sequence: first + i, frame }));
  }

  /** Undefined when it was trimmed. */
  readRange(partition: number, { sequence, offset, length }: FrameRange): Buffer | undefined {
    const { frames, durable, trimmedBelow } = this.logs[partition]!;
    promise(sequence <= durable, () => `frame ${sequence} was read before it was durable`);
    if (sequence < trimmedBelow) return undefined;
    return frames[sequence - 1]!.subarray(offset, offset + length);
  }

  /** What the newest acting frame names, "gone" when that is trimmed. */
  namedCheckpoint(partition: number, at: ReadsAt): NamedCheckpoint | "gone" | undefined {
    const { frames, trimmedBelow } = this.logs[partition]!;
    let last = this.lastSequence(partition, at);
    while (last > 0 && !acts(frames[last - 1]!, last)) last--;
    if (last === 0) return undefined;
    const named = readFrameHeader(frames[last - 1]!).checkpointFrameNo;
    if (named === 0) return undefined;
    if (named < trimmedBelow) return "gone";
    return { ...checkpointOf(frames[named - 1]!)!, frameNo: named };
  }
}

/** Where a frame is not where it says, it only ends the epoch before. */
function acts(frame: Buffer, sequence: number): boolean {
  return readFrameHeader(frame).frameNo === sequence;
}
