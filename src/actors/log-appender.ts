/**
 * Appends the frames of a group and says when all are durable.
 *
 * Owns the state of the log as seen from the kernel: open, full or failed.
 * 1. A frame is resent until it is decided; while there is no room it waits, and new messages are refused.
 * 2. While storage doesn't answer frames wait as well, and `away` knows.
 * 3. After a failed write, or when another node has taken over, nothing is appended any more.
 * 4. A frame that finds the log full may take of the reserve, once whoever makes room knows: behind it only what was
 *    begun is written, and checkpoints. All of it is only for a frame that names one.
 * 5. A start does not wait for room: nobody would make any.
 * 6. A frame counts as waiting from its first refusal until it is decided, not only between two tries.
 */
import { systemClock } from "../base/clock.ts";
import { CaxtonError, ensureError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { systemScheduler } from "../base/scheduler.ts";
import { epochOfFrame, readFrameHeader } from "../storage/frame-codec.ts";
import type { AppendOutcome, AppendRoom, Log, LogRecord, StorageAway } from "../storage/index.ts";
import { decideAppend, decideFromLog } from "./append-protocol.ts";
import type { AppendDecision } from "./append-protocol.ts";
import { OpenedEpochs } from "./opened-epochs.ts";
import { PartitionContended } from "./recover-anew.ts";
import type { PostedFrame } from "./worker-protocol.ts";

const FULL_RETRY_MS = 100;
const UNKNOWN_RETRY_MS_MIN = 20;
/** Servers that elect a leader need 4 s and more: what comes on top of that is a small part of it. */
const UNKNOWN_RETRY_MS_MAX = 200;
/** Of absence. */
const SIGN = "log";

export class LogAppender {
  private readonly storageLog: Log;
  private readonly log: Logger;
  private readonly away: StorageAway;
  private readonly epochs = new OpenedEpochs();
  private waitingForRoom = 0;
  private waitingForAnswer = 0;
  private awaySinceMs: number | undefined;
  private isStarted = false;
  /** A frame found no room. */
  onFull: () => void = () => undefined;
  /** No frame waits for room any more. */
  onRoom: () => void = () => undefined;
  failed: CaxtonError | undefined;
  /** What storage said when it last had no room. */
  whyFull = "storage.sizeBytesMax is reached";

  constructor(storageLog: Log, log: Logger, away: StorageAway) {
    this.storageLog = storageLog;
    this.log = log;
    this.away = away;
  }

  get isFull(): boolean {
    return this.waitingForRoom > 0;
  }

  /** All partitions are open. */
  started(): void {
    this.isStarted = true;
  }

  /** Resolves when every frame is durable; rejects when the log failed or another node has taken over. */
  async appendGroup(frames: readonly PostedFrame[]): Promise<void> {
    const appends = frames.map((frame) => this.append(frame));
    try {
      await Promise.all(appends);
    } catch (error) {
      // Whoever recovers the partitions anew needs to know what became of the others.
      if (error instanceof PartitionContended) await Promise.allSettled(appends);
      throw error;
    }
  }

  private async append({
    partition,
    frameNo,
    frame,
    expectedSequence,
  }: PostedFrame): Promise<void> {
    if (expectedSequence === null) {
      const other = this.epochs.takenBy(partition, epochOfFrame(frame));
      if (other !== undefined) throw fenced(partition, other);
      const outcome = await this.appendWithRoom(partition, frame, null);
      const decision = decideAppend({ expectedSequence, frame }, outcome);
      if (decision.kind !== "durable") throw new PartitionContended(partition);
      return;
    }
    const decision = await this.resendUntilDecided(partition, frame, expectedSequence);
    if (decision.kind === "fenced") throw fenced(partition, decision.epoch);
    if (decision.sequence === frameNo) return;
    const text = `Frame ${String(frameNo)} of partition ${String(partition)} is in the log as number ${String(decision.sequence)}.`;
    throw new CaxtonError("STORAGE_CORRUPT", text);
  }

  private async resendUntilDecided(
    partition: number,
    frame: Uint8Array,
    expectedSequence: number,
  ): Promise<Extract<AppendDecision, { kind: "durable" | "fenced" }>> {
    let expected = expectedSequence;
    let retryMs = UNKNOWN_RETRY_MS_MIN;
    let isWaiting = false;
    try {
      for (;;) {
        const outcome = await this.appendWithRoom(partition, frame, expected);
        const decision = await this.decide(partition, frame, expected, outcome);
        if (decision.kind === "durable" || decision.kind === "fenced") return decision;
        if (decision.kind === "resend") expected = decision.expectedSequence;
        if (outcome.kind !== "unknown" && decision.kind !== "away") continue;
        if (!isWaiting) this.waitingForAnswer++;
        isWaiting = true;
        this.goesAway(outcome.kind === "unknown" ? outcome.cause : "the log can't be read");
        await this.pause(retryMs);
        retryMs = Math.min(retryMs * 2, UNKNOWN_RETRY_MS_MAX);
      }
    } finally {
      if (isWaiting && --this.waitingForAnswer === 0) this.isBack();
    }
  }

  private async decide(
    partition: number,
    frame: Uint8Array,
    expected: number,
    outcome: AppendOutcome,
  ): Promise<AppendDecision | { readonly kind: "away" }> {
    const decision = decideAppend({ expectedSequence: expected, frame }, outcome);
    if (decision.kind !== "read") return decision;
    try {
      return decideFromLog(frame, expected, await this.readFrom(partition, decision.fromSequence));
    } catch (error) {
      if (isAway(error)) return { kind: "away" };
      throw error;
    }
  }

  /** Frames that wait are given up: nobody was told that they are durable. */
  stop(): void {
    this.failed ??= new CaxtonError("NOT_READY", "The node is stopping.");
  }

  private async appendWithRoom(
    partition: number,
    frame: Uint8Array,
    expectedSequence: number | null,
  ): Promise<AppendOutcome> {
    let waits = false;
    let room: AppendRoom = "ordinary";
    try {
      for (;;) {
        const outcome = await this.appendOnce(partition, frame, expectedSequence, room);
        if (outcome !== "full") return outcome;
        if (expectedSequence === null && !this.isStarted) throw noRoomToStart();
        this.onFull();
        if (room === "ordinary") {
          room = namesCheckpoint(frame) ? "reserve" : "begun";
          continue;
        }
        if (!waits) this.beginWaiting();
        waits = true;
        await this.pause(FULL_RETRY_MS);
      }
    } finally {
      if (waits && --this.waitingForRoom === 0) this.onRoom();
    }
  }

  private async appendOnce(
    partition: number,
    frame: Uint8Array,
    expectedSequence: number | null,
    room: AppendRoom,
  ): Promise<AppendOutcome | "full"> {
    try {
      const epoch = epochOfFrame(frame);
      return await this.storageLog.append(partition, expectedSequence, frame, epoch, room);
    } catch (thrown) {
      const error = ensureError(thrown);
      if (error instanceof CaxtonError && error.code === "STORAGE_FULL") {
        this.whyFull = error.message;
        return "full";
      }
      this.failed ??= asStorageFailure(error);
      throw this.failed;
    }
  }

  private beginWaiting(): void {
    if (!this.isFull) this.log.error("storage is full: nothing is accepted until there is room");
    this.waitingForRoom++;
  }

  private goesAway(cause: string): void {
    if (this.awaySinceMs !== undefined) return;
    this.awaySinceMs = systemClock.monotonicMs();
    this.away.away(SIGN);
    this.log.warn({ cause }, "storage does not answer; frames are sent again until it does");
  }

  private isBack(): void {
    const awayMs = Math.round(systemClock.monotonicMs() - this.awaySinceMs!);
    this.log.warn({ awayMs }, "storage answers again");
    this.awaySinceMs = undefined;
    this.away.back(SIGN);
  }

  private async pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => void systemScheduler.after(ms, resolve));
    if (this.failed !== undefined) throw this.failed;
  }

  private async readFrom(partition: number, fromSequence: number): Promise<LogRecord[]> {
    const records: LogRecord[] = [];
    for await (const record of this.storageLog.scan(partition, fromSequence)) {
      records.push({ sequence: record.sequence, frame: Uint8Array.from(record.frame) });
    }
    return records;
  }
}

function fenced(partition: number, epoch: number): CaxtonError {
  const text = `Another node has had partition ${String(partition)} since epoch ${String(epoch)}.`;
  return new CaxtonError("PARTITION_FENCED", text);
}

function namesCheckpoint(frame: Uint8Array): boolean {
  const header = readFrameHeader(Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength));
  return header.checkpointFrameNo === header.frameNo;
}

function noRoomToStart(): CaxtonError {
  const text =
    "The log is full, and no checkpoint allows it to be trimmed: a start needs some room.";
  return new CaxtonError("STORAGE_FULL", text);
}

function isAway(error: unknown): boolean {
  return error instanceof CaxtonError && error.code === "STORAGE_UNAVAILABLE";
}

function asStorageFailure(error: Error): CaxtonError {
  return error instanceof CaxtonError
    ? error
    : new CaxtonError("STORAGE_FAILED", error.message, { cause: error });
}
