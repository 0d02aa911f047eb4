/**
 * Reads what a partition's recovery needs, in steps, after src/actors/worker-pool.ts: meanwhile another owner may
 * write, trim and delete.
 *
 * 1. What has gone since it was found is no damage if somebody else has written: the partition is contended.
 */
import { findLostTail } from "../../src/actors/lost-tail.ts";
import { RecoveryTail } from "../../src/actors/recovery-tail.ts";
import type { FromWorker } from "../../src/actors/worker-protocol.ts";
import { CaxtonError } from "../../src/base/errors.ts";
import type { LogRecord } from "../../src/storage/index.ts";
import type { Coverage } from "./coverage.ts";
import { promise } from "./failure.ts";
import type { ReadsAt } from "./sim-blobs.ts";
import type { NamedCheckpoint } from "./sim-frames.ts";
import type { SimLog } from "./sim-log.ts";

export type RecoveredMessage = Extract<FromWorker, { kind: "recovered" }>;

export interface SimRecoveryPorts {
  readonly log: SimLog;
  readonly readsAt: ReadsAt;
  readonly coverage: Coverage;
  /** Runs a read when there is a leader, a while later. */
  read(action: () => void): void;
  checkpoint(sha256: string, content: Uint8Array<ArrayBuffer>): void;
  frames(records: LogRecord[]): void;
  recovered(): void;
  contended(): void;
}

export class SimRecovery {
  private readonly partition: number;
  private readonly ports: SimRecoveryPorts;
  private before = 0;

  constructor(partition: number, ports: SimRecoveryPorts) {
    this.partition = partition;
    this.ports = ports;
  }

  start(): void {
    const { partition, ports } = this;
    ports.read(() => {
      const { frames } = ports.log;
      if (frames.isLost(partition)) {
        throw new CaxtonError("STORAGE_CORRUPT", `all of partition ${partition} is lost`);
      }
      this.before = frames.lastSequence(partition, ports.readsAt);
      const named = frames.namedCheckpoint(partition, ports.readsAt);
      if (named === undefined) this.readFrames(1, 0);
      else if (named === "gone") this.gone("its newest checkpoint is trimmed");
      else this.readCheckpoint(named);
    });
  }

  private readCheckpoint({ sha256, stateFrameNo, frameNo }: NamedCheckpoint): void {
    const { ports } = this;
    ports.read(() => {
      const content = ports.log.blobs.get(sha256, ports.readsAt);
      if (content === undefined) {
        this.gone(`blob ${sha256} was read after it was deleted`);
        return;
      }
      ports.coverage.hit("recovery from a checkpoint");
      ports.checkpoint(sha256, Uint8Array.from(content));
      this.readFrames(stateFrameNo + 1, frameNo);
    });
  }

  /** In two portions. */
  private readFrames(from: number, checkpointFrameNo: number): void {
    const { partition, ports } = this;
    const tail = new RecoveryTail(from, checkpointFrameNo);
    ports.read(() => {
      const to = ports.log.frames.lastSequence(partition, ports.readsAt);
      const half = from + Math.floor((to - from) / 2);
      if (!this.pass(tail, from, half)) return;
      ports.read(() => {
        if (this.pass(tail, half + 1, to)) ports.recovered();
      });
    });
  }

  /** False when they can't be used. */
  private pass(tail: RecoveryTail, from: number, to: number): boolean {
    const { partition, ports } = this;
    const records = ports.log.frames.records(partition, from, to);
    const findings = records.map((record) => tail.take(record));
    if (findings.includes("checkpoint")) {
      ports.coverage.hit("recovery overtaken by a checkpoint");
      ports.contended();
    } else if (findings.includes("hole") || records.length < to - from + 1) {
      this.gone(`frames from ${from} to ${to} are trimmed`);
    } else {
      ports.frames(records);
      return true;
    }
    return false;
  }

  private gone(what: string): void {
    const { partition, ports, before } = this;
    const isContended = ports.log.frames.lastSequence(partition, "leader") !== before;
    if (!isContended && ports.log.hasLostTail) throw new CaxtonError("STORAGE_CORRUPT", what);
    promise(isContended, () => `recovery of partition ${partition}: ${what}`);
    ports.coverage.hit("recovery overtaken by a trim");
    ports.contended();
  }
}

/** False when they were read while another owner wrote. */
export function doTailsGoTogether(
  recovered: readonly RecoveredMessage[],
  { log, coverage }: Pick<SimRecoveryPorts, "log" | "coverage">,
  contended: () => void,
): boolean {
  const lost = findLostTail(recovered);
  if (lost === undefined) return true;
  const isContended = recovered.some(
    ({ partition, lastFrameNo }) => log.frames.lastSequence(partition, "leader") !== lastFrameNo,
  );
  if (!isContended) throw new CaxtonError("STORAGE_CORRUPT", lost);
  coverage.hit("recovery overtaken by a take-over");
  contended();
  return false;
}
