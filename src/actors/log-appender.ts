/**
 * Appends the frames of a group and says when all are durable.
 *
 * Owns the state of the log as seen from the kernel: open, full or failed.
 * 1. A frame is resent until it is decided; while there is no room it waits, and new messages are refused.
 * 2. After a failed write nothing is appended any more.
 * 3. A frame counts as waiting from its first refusal until it is decided, not only between two tries.
 */
import { setTimeout as wait } from "node:timers/promises";
import { CaxtonError, ensureError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { epochOfFrame } from "../storage/frame-codec.ts";
import type { AppendOutcome, Log, LogRecord } from "../storage/index.ts";
import { decideAppend, decideFromLog } from "./append-protocol.ts";
import type { AppendDecision } from "./append-protocol.ts";
import type { PostedFrame } from "./worker-protocol.ts";

const RETRY_MS = 100;

export class LogAppender {
  private readonly storageLog: Log;
  private readonly log: Logger;
  private waitingForRoom = 0;
  failed: CaxtonError | undefined;

  constructor(storageLog: Log, log: Logger) {
    this.storageLog = storageLog;
    this.log = log;
  }

  get isFull(): boolean {
    return this.waitingForRoom > 0;
  }

  /** Resolves when every frame is durable; rejects when the log failed or the partition is fenced. */
  async appendGroup(frames: readonly PostedFrame[]): Promise<void> {
    await Promise.all(frames.map((frame) => this.append(frame)));
  }

  private async append(posted: PostedFrame): Promise<void> {
    let { expectedSequence } = posted;
    for (;;) {
      const sent = { expectedSequence, frame: posted.frame };
      let decision = await this.tryAppend(posted.partition, sent.frame, expectedSequence);
      if (decision.kind === "read") {
        const records = await this.readFrom(posted.partition, decision.fromSequence);
        decision = decideFromLog(sent, records);
      }
      if (decision.kind === "durable") return;
      if (decision.kind === "fenced") {
        throw new CaxtonError(
          "STORAGE_FAILED",
          `Partition ${String(posted.partition)} is owned by another node since epoch ${String(decision.epoch)}.`,
        );
      }
      if (decision.kind === "resend") ({ expectedSequence } = decision);
    }
  }

  /** Frames that wait for room are given up: nobody was told that they are durable. */
  stop(): void {
    this.failed ??= new CaxtonError("NOT_READY", "The node is stopping.");
  }

  private async tryAppend(
    partition: number,
    frame: Uint8Array,
    expectedSequence: number | null,
  ): Promise<AppendDecision> {
    let waits = false;
    try {
      for (;;) {
        const outcome = await this.appendOnce(partition, frame, expectedSequence);
        if (outcome !== "full") return decideAppend({ expectedSequence, frame }, outcome);
        if (!waits) this.beginWaiting();
        waits = true;
        await wait(RETRY_MS, undefined, { ref: false });
        if (this.failed !== undefined) throw this.failed;
      }
    } finally {
      if (waits) this.waitingForRoom--;
    }
  }

  private async appendOnce(
    partition: number,
    frame: Uint8Array,
    expectedSequence: number | null,
  ): Promise<AppendOutcome | "full"> {
    try {
      const epoch = epochOfFrame(frame);
      return await this.storageLog.append(partition, expectedSequence, frame, epoch);
    } catch (thrown) {
      const error = ensureError(thrown);
      if (error instanceof CaxtonError && error.code === "STORAGE_FULL") return "full";
      this.failed ??= asStorageFailure(error);
      throw this.failed;
    }
  }

  private beginWaiting(): void {
    if (!this.isFull) this.log.error("storage is full: nothing is accepted until there is room");
    this.waitingForRoom++;
  }

  private async readFrom(partition: number, fromSequence: number): Promise<LogRecord[]> {
    const records: LogRecord[] = [];
    for await (const record of this.storageLog.scan(partition, fromSequence)) {
      records.push({ sequence: record.sequence, frame: Uint8Array.from(record.frame) });
    }
    return records;
  }
}

function asStorageFailure(error: Error): CaxtonError {
  return error instanceof CaxtonError
    ? error
    : new CaxtonError("STORAGE_FAILED", error.message, { cause: error });
}
