/**
 * The store of a run: what a log may do to its writers, by chance.
 *
 * Owns all frames and blobs. A frame is first written, then durable; a loss of power cuts what is only written.
 * 1. The same frame sent again has the same bytes.
 * 2. An append with an expected sequence is written only when it fits.
 * 3. What was trimmed or deleted is gone: reading it is a failure of the run.
 */
import { createHash } from "node:crypto";
import type { SeededRandom } from "../../src/base/random.ts";
import { readFrameHeader } from "../../src/storage/frame-codec.ts";
import { checkpointOf } from "../../src/storage/frame-entries.ts";
import type { AppendOutcome, FrameRange, LogRecord } from "../../src/storage/index.ts";
import type { Coverage } from "./coverage.ts";
import { promise } from "./failure.ts";
import type { Fault, Swarm } from "./swarm.ts";
import type { Timeline } from "./timeline.ts";

/** A process that writes. What a dead one had under way may still arrive, but nobody is told. */
export interface Writer {
  alive: boolean;
}

interface PartitionLog {
  readonly frames: Buffer[];
  durable: number;
  trimmedBelow: number;
}

interface Append {
  readonly writer: Writer;
  readonly partition: number;
  readonly expected: number | null;
  readonly frame: Buffer;
  readonly done: (outcome: AppendOutcome) => void;
}

export interface SimRecovery {
  readonly checkpoint:
    { readonly sha256: string; readonly content: Uint8Array<ArrayBuffer> } | undefined;
  readonly frames: LogRecord[];
}

const FAULT_CHANCE = 0.15;

export interface SimLogPorts {
  readonly swarm: Swarm;
  readonly timeline: Timeline;
  readonly random: SeededRandom;
  readonly coverage: Coverage;
  durable(partition: number, sequence: number, frame: Buffer): void;
}

export class SimLog {
  private readonly ports: SimLogPorts;
  private readonly partitions: PartitionLog[];
  private readonly sent = new WeakMap<Writer, Map<string, Buffer>>();
  private readonly blobs = new Map<string, Buffer>();
  private pending = new Set<Append>();
  /** Faults end with the first phase. */
  private healed = false;
  private stalledUntilMs = 0;

  constructor(ports: SimLogPorts) {
    this.ports = ports;
    this.partitions = Array.from({ length: ports.swarm.partitions }, () => ({
      frames: [],
      durable: 0,
      trimmedBelow: 1,
    }));
  }

  heal(): void {
    this.healed = true;
    this.stalledUntilMs = 0;
  }

  stall(forMs: number): void {
    this.stalledUntilMs = this.ports.timeline.nowMs + forMs;
  }

  private strikes(fault: Fault): boolean {
    const { swarm, random } = this.ports;
    return !this.healed && swarm.faults.has(fault) && random.chance(FAULT_CHANCE);
  }

  private delayMs(): number {
    const { random, swarm, timeline } = this.ports;
    const stall = Math.max(0, this.stalledUntilMs - timeline.nowMs);
    return stall + random.nextFloat() ** 2 * swarm.appendMs * 2;
  }

  append(
    writer: Writer,
    partition: number,
    expected: number | null,
    frame: Uint8Array,
    done: (outcome: AppendOutcome) => void,
  ): void {
    const copy = Buffer.from(frame);
    this.checkIdentity(writer, copy);
    const append: Append = { writer, partition, expected, frame: copy, done };
    this.pending.add(append);
    this.schedule(append);
  }

  private checkIdentity(writer: Writer, frame: Buffer): void {
    const { partition, epoch, frameNo } = readFrameHeader(frame);
    const name = `${partition}/${epoch}/${frameNo}`;
    const sent = this.sent.get(writer) ?? new Map<string, Buffer>();
    this.sent.set(writer, sent);
    const before = sent.get(name);
    sent.set(name, frame);
    promise(
      before === undefined || before.equals(frame),
      () => `frame ${name} was sent again with other bytes`,
    );
  }

  private schedule(append: Append): void {
    this.ports.timeline.after(this.delayMs(), () => {
      if (!this.pending.has(append)) return;
      this.pending.delete(append);
      this.attempt(append);
    });
  }

  private attempt(append: Append): void {
    const { coverage, random } = this.ports;
    const { partition, expected } = append;
    const { frames } = this.partitions[partition]!;
    if (expected !== null && this.strikes("appendsRefused")) {
      const isStale = random.chance(0.5);
      coverage.hit(
        isStale ? "append refused with a stale sequence" : "append refused though it fitted",
      );
      const lastSequence = isStale ? random.below(frames.length + 1) : frames.length;
      this.tell(append, { kind: "refused", lastSequence });
      return;
    }
    if (this.strikes("appendsUnknown")) {
      const later = random.chance(0.5);
      coverage.hit(later ? "append unknown, written later" : "append unknown, not written");
      this.tell(append, { kind: "unknown", cause: "lost on the way" });
      if (later) {
        const straggler = { ...append, done: () => undefined };
        this.pending.add(straggler);
        this.schedule(straggler);
      }
      return;
    }
    if (!this.add(append)) {
      this.tell(append, { kind: "refused", lastSequence: frames.length });
      return;
    }
    this.acknowledge(append, frames.length);
  }

  /** False when it does not fit, or is an epoch frame that comes too late and is void. */
  private add({ partition, expected, frame }: Append): boolean {
    const { coverage } = this.ports;
    const { frames } = this.partitions[partition]!;
    const { epoch, frameNo } = readFrameHeader(frame);
    if (expected !== null) {
      if (expected !== frames.length) return false;
      promise(epoch === newestEpoch(frames), () => `epoch ${epoch} was appended behind another`);
    } else if (epoch <= newestEpoch(frames)) {
      coverage.hit("epoch frame void");
      return false;
    } else if (frameNo !== frames.length + 1) coverage.hit("epoch frame misplaced");
    frames.push(frame);
    return true;
  }

  private acknowledge({ writer, partition, frame, done }: Append, sequence: number): void {
    const { timeline, coverage } = this.ports;
    const log = this.partitions[partition]!;
    timeline.after(this.delayMs(), () => {
      // A loss of power came in between.
      if (log.frames[sequence - 1] !== frame) return;
      this.syncTo(partition, sequence);
      if (!writer.alive) return;
      if (this.strikes("acksLost")) {
        coverage.hit("append ack lost");
        done({ kind: "unknown", cause: "no answer" });
        return;
      }
      coverage.hit("append acked");
      done({ kind: "acked", sequence });
    });
  }

  private tell({ writer, done }: Append, outcome: AppendOutcome): void {
    if (writer.alive) done(outcome);
  }

  private syncTo(partition: number, sequence: number): void {
    const log = this.partitions[partition]!;
    while (log.durable < sequence) {
      const frame = log.frames[log.durable]!;
      log.durable++;
      this.ports.durable(partition, log.durable, frame);
    }
  }

  /** A process is gone: what it had under way arrives or does not. With the power goes what is not synced. */
  writerDied(writer: Writer, withPower: boolean): void {
    const { random, coverage } = this.ports;
    for (const append of this.pending) {
      if (append.writer !== writer) continue;
      this.pending.delete(append);
      if (random.chance(0.3)) this.add(append);
    }
    this.partitions.forEach((log, partition) => {
      const unsynced = log.frames.length - log.durable;
      const kept = withPower ? random.below(unsynced + 1) : unsynced;
      if (kept < unsynced) coverage.hit("unsynced frames lost", unsynced - kept);
      log.frames.length = log.durable + kept;
      this.syncTo(partition, log.frames.length);
    });
  }

  /** All frames from a sequence on. A read shows nothing that may still be lost. */
  records(partition: number, fromSequence: number): LogRecord[] {
    this.syncTo(partition, this.partitions[partition]!.frames.length);
    return this.partitions[partition]!.frames.slice(fromSequence - 1).map((frame, i) => ({
      sequence: fromSequence + i,
      frame,
    }));
  }

  frame(partition: number, sequence: number): Buffer {
    return this.partitions[partition]!.frames[sequence - 1]!;
  }

  readRange(partition: number, { sequence, offset, length }: FrameRange): Buffer {
    const { frames, durable, trimmedBelow } = this.partitions[partition]!;
    promise(sequence <= durable, () => `frame ${sequence} was read before it was durable`);
    promise(sequence >= trimmedBelow, () => `frame ${sequence} was read after it was trimmed`);
    return frames[sequence - 1]!.subarray(offset, offset + length);
  }

  /** What a recovery reads: the newest checkpoint and the frames after it. */
  recoveryOf(partition: number): SimRecovery {
    const all = this.records(partition, 1);
    const last = all.findLast((record) => acts(asBuffer(record), record.sequence));
    const named = last === undefined ? 0 : readFrameHeader(asBuffer(last)).checkpointFrameNo;
    const naming = all[named - 1];
    if (naming === undefined) {
      this.checkKept(partition, 1);
      return { checkpoint: undefined, frames: all };
    }
    const { sha256, stateFrameNo } = checkpointOf(asBuffer(naming))!;
    this.checkKept(partition, Math.min(named, stateFrameNo + 1));
    const content = Uint8Array.from(this.blob(sha256));
    return { checkpoint: { sha256, content }, frames: all.slice(stateFrameNo) };
  }

  private checkKept(partition: number, from: number): void {
    const { trimmedBelow } = this.partitions[partition]!;
    promise(
      from >= trimmedBelow,
      () => `partition ${partition} is recovered from ${from} and trimmed below ${trimmedBelow}`,
    );
  }

  trim(partition: number, below: number): void {
    const log = this.partitions[partition]!;
    promise(below <= log.durable, () => `partition ${partition} would be trimmed whole`);
    if (below <= log.trimmedBelow) return;
    log.trimmedBelow = below;
    this.ports.coverage.hit("log trimmed");
  }

  putBlob(content: Uint8Array): string {
    const sha256 = createHash("sha256").update(content).digest("hex");
    this.blobs.set(sha256, Buffer.from(content));
    return sha256;
  }

  blob(sha256: string): Buffer {
    const content = this.blobs.get(sha256);
    promise(content !== undefined, () => `blob ${sha256} was read after it was deleted`);
    return content;
  }

  deleteBlob(sha256: string): void {
    promise(this.blobs.delete(sha256), () => `blob ${sha256} was deleted and is not there`);
    this.ports.coverage.hit("blob deleted");
  }
}

/** Where a frame is not where it says, it only ends the epoch before. */
function acts(frame: Buffer, sequence: number): boolean {
  return readFrameHeader(frame).frameNo === sequence;
}

function newestEpoch(frames: readonly Buffer[]): number {
  const last = frames.at(-1);
  return last === undefined ? 0 : readFrameHeader(last).epoch;
}

function asBuffer({ frame }: LogRecord): Buffer {
  return Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
}
