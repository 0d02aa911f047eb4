/**
 * Appends groups of frames, each until it is decided, after src/actors/log-appender.ts.
 *
 * Owns the frames that wait for an answer.
 * 1. Storage is away from the first frame that waits until none does; after a while that is long.
 */
import { decideAppend, decideFromLog } from "../../src/actors/append-protocol.ts";
import type { AppendDecision } from "../../src/actors/append-protocol.ts";
import { OpenedEpochs } from "../../src/actors/opened-epochs.ts";
import type { PostedFrame } from "../../src/actors/worker-protocol.ts";
import { epochOfFrame } from "../../src/storage/frame-codec.ts";
import type { AppendOutcome } from "../../src/storage/index.ts";
import type { Coverage } from "./coverage.ts";
import { EXIT_CRASH, SimFailure, promise } from "./failure.ts";
import type { ReadsAt } from "./sim-blobs.ts";
import type { SimLog, Writer } from "./sim-log.ts";

const RESEND_MS = 3;
const UNANSWERED_MS_MIN = 20;
const UNANSWERED_MS_MAX = 1000;
/** What waits longer has a client that should know: see src/storage/storage-away.ts. */
const AWAY_LONG_MS = 5000;

export interface SimAppenderPorts {
  readonly log: SimLog;
  readonly readsAt: ReadsAt;
  readonly coverage: Coverage;
  readonly writer: Writer;
  nowMs(): number;
  after(delayMs: number, action: () => void): () => void;
  /** Another owner has the partition. */
  fenced(): void;
  /** Storage has been away for long. */
  away(): void;
}

/** Contended: another owner may have written while this one took over; it has to read again. */
type End = "durable" | "contended";

interface Sent {
  readonly posted: PostedFrame;
  readonly ended: (end: End) => void;
  expected: number | null;
  /** Since when there is no answer. */
  waitsSinceMs: number | undefined;
  retryMs: number;
}

export class SimAppender {
  private readonly ports: SimAppenderPorts;
  private readonly waiting = new Set<Sent>();
  private readonly epochs = new OpenedEpochs();
  private awaySinceMs: number | undefined;
  private cancelLong: () => void = () => undefined;

  constructor(ports: SimAppenderPorts) {
    this.ports = ports;
  }

  /** `ended` is called when all of them are decided. */
  appendGroup(frames: readonly PostedFrame[], ended: (end: End) => void): void {
    let undecided = frames.length;
    let all: End = "durable";
    for (const posted of frames) {
      this.append({
        posted,
        expected: posted.expectedSequence,
        waitsSinceMs: undefined,
        retryMs: UNANSWERED_MS_MIN,
        ended: (end) => {
          if (end === "contended") all = end;
          if (--undecided === 0) ended(all);
        },
      });
    }
  }

  /** Whether requests are refused at once. */
  get isAwayForLong(): boolean {
    const { awaySinceMs } = this;
    return awaySinceMs !== undefined && this.ports.nowMs() - awaySinceMs >= AWAY_LONG_MS;
  }

  /** Since when the oldest of the frames waits that wait for an answer. */
  get waitsSinceMs(): number {
    return Math.min(...[...this.waiting].map(({ waitsSinceMs }) => waitsSinceMs!));
  }

  private append(sent: Sent): void {
    const { log, writer } = this.ports;
    const { posted, expected } = sent;
    if (expected === null && this.isTaken(posted)) {
      this.ports.coverage.hit("append fenced");
      this.ports.fenced();
      return;
    }
    log.append(writer, posted.partition, expected, posted.frame, (outcome) => {
      this.answered(sent, outcome);
    });
  }

  private isTaken({ partition, frame }: PostedFrame): boolean {
    return this.epochs.takenBy(partition, epochOfFrame(frame)) !== undefined;
  }

  private answered(sent: Sent, outcome: AppendOutcome): void {
    const { log, coverage, readsAt } = this.ports;
    const { posted, expected } = sent;
    const { partition, frame } = posted;
    let decision = decideAppend({ expectedSequence: expected, frame }, outcome);
    if (decision.kind === "read") {
      if (!log.hasLeader) {
        this.resendLater(sent);
        return;
      }
      const last = log.frames.lastSequence(partition, readsAt);
      const records = log.frames.records(partition, decision.fromSequence, last);
      decision = decideFromLog(frame, expected!, records);
      if (decision.kind === "durable") coverage.hit("append decided durable from the log");
    }
    if (decision.kind === "resend" && outcome.kind === "unknown") this.resendLater(sent);
    else this.decided(sent, decision);
  }

  private decided(sent: Sent, decision: AppendDecision): void {
    const { coverage } = this.ports;
    const { posted, ended } = sent;
    switch (decision.kind) {
      case "durable":
        promise(
          decision.sequence === posted.frameNo,
          () => `frame ${posted.frameNo} is at sequence ${decision.sequence}`,
        );
        this.waitsNoMore(sent);
        ended("durable");
        return;
      case "resend":
        coverage.hit("append resent");
        sent.expected = decision.expectedSequence;
        this.ports.after(RESEND_MS, () => {
          this.append(sent);
        });
        return;
      case "fenced":
        coverage.hit("append fenced");
        this.ports.fenced();
        return;
      case "contended":
        coverage.hit("partition contended");
        this.ports.log.abandoned(this.ports.writer, posted.frame);
        this.waitsNoMore(sent);
        ended("contended");
        return;
      case "read":
        throw new SimFailure(EXIT_CRASH, "the log was read and is to be read again");
    }
  }

  /** Storage does not answer. */
  private resendLater(sent: Sent): void {
    const { coverage } = this.ports;
    const nowMs = this.ports.nowMs();
    coverage.hit("append resent");
    sent.waitsSinceMs ??= nowMs;
    this.waiting.add(sent);
    if (this.awaySinceMs === undefined) {
      this.awaySinceMs = nowMs;
      this.cancelLong = this.ports.after(AWAY_LONG_MS, () => {
        coverage.hit("storage away for long");
        this.ports.away();
      });
    }
    this.ports.after(sent.retryMs, () => {
      this.append(sent);
    });
    sent.retryMs = Math.min(sent.retryMs * 2, UNANSWERED_MS_MAX);
  }

  private waitsNoMore(sent: Sent): void {
    if (!this.waiting.delete(sent) || this.waiting.size > 0) return;
    this.awaySinceMs = undefined;
    this.cancelLong();
  }
}
