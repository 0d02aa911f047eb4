/** Appends groups of frames, each until it is decided, after src/actors/log-appender.ts. */
import { decideAppend, decideFromLog } from "../../src/actors/append-protocol.ts";
import type { AppendDecision } from "../../src/actors/append-protocol.ts";
import type { PostedFrame } from "../../src/actors/worker-protocol.ts";
import type { Coverage } from "./coverage.ts";
import { EXIT_CRASH, SimFailure, promise } from "./failure.ts";
import type { SimLog, Writer } from "./sim-log.ts";

const RESEND_MS = 3;

export interface SimAppenderPorts {
  readonly log: SimLog;
  readonly coverage: Coverage;
  readonly writer: Writer;
  after(delayMs: number, action: () => void): void;
  /** Another owner has the partition. */
  fenced(): void;
  /** Another owner may have written while this one took over: it has to read again. */
  contended(): void;
}

export class SimAppender {
  private readonly ports: SimAppenderPorts;

  constructor(ports: SimAppenderPorts) {
    this.ports = ports;
  }

  /** `durable` is called when all of them are. */
  appendGroup(frames: readonly PostedFrame[], durable: () => void): void {
    let undecided = frames.length;
    for (const frame of frames) {
      this.append(frame, frame.expectedSequence, () => {
        if (--undecided === 0) durable();
      });
    }
  }

  private append(posted: PostedFrame, expected: number | null, durable: () => void): void {
    const { log, coverage, writer } = this.ports;
    const { frame } = posted;
    log.append(writer, posted.partition, expected, posted.frame, (outcome) => {
      let decision = decideAppend({ expectedSequence: expected, frame }, outcome);
      if (decision.kind === "read") {
        const records = log.records(posted.partition, decision.fromSequence);
        decision = decideFromLog(frame, expected!, records);
        if (decision.kind === "durable") coverage.hit("append decided durable from the log");
      }
      this.decided(posted, decision, durable);
    });
  }

  private decided(posted: PostedFrame, decision: AppendDecision, durable: () => void): void {
    const { coverage } = this.ports;
    switch (decision.kind) {
      case "durable":
        promise(
          decision.sequence === posted.frameNo,
          () => `frame ${posted.frameNo} is at sequence ${decision.sequence}`,
        );
        durable();
        return;
      case "resend":
        coverage.hit("append resent");
        this.ports.after(RESEND_MS, () => {
          this.append(posted, decision.expectedSequence, durable);
        });
        return;
      case "fenced":
        coverage.hit("append fenced");
        this.ports.fenced();
        return;
      case "contended":
        coverage.hit("partition contended");
        this.ports.contended();
        return;
      case "read":
        throw new SimFailure(EXIT_CRASH, "the log was read and is to be read again");
    }
  }
}
