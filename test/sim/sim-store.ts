/**
 * What the main thread reads, stores and trims for its workers, after src/actors/worker-pool.ts and worker-blobs.ts.
 *
 * 1. What is read waits for a leader, however long it takes.
 * 2. Nothing says whether whoever trims still owns the partition.
 */
import type { BlobRequest } from "../../src/actors/worker-blobs.ts";
import type { FromWorker } from "../../src/actors/worker-protocol.ts";
import { CaxtonError } from "../../src/base/errors.ts";
import type { SeededRandom } from "../../src/base/random.ts";
import type { Coverage } from "./coverage.ts";
import { promise } from "./failure.ts";
import type { ReadsAt } from "./sim-blobs.ts";
import type { SimLog } from "./sim-log.ts";
import type { SimWorker } from "./sim-worker.ts";
import type { Swarm } from "./swarm.ts";
import type { Timeline } from "./timeline.ts";

const WAIT_MS_MAX = 30;
/** A request to trim may come late, also when nobody waits for its answer any more. */
const PURGE_MS_MAX = 400;

type Range = [sequence: number, offset: number, length: number];

export interface SimStorePorts {
  readonly swarm: Swarm;
  readonly timeline: Timeline;
  readonly random: SeededRandom;
  readonly coverage: Coverage;
  readonly log: SimLog;
  readonly readsAt: ReadsAt;
  /** Unless the process ends before. */
  after(delayMs: number, action: () => void): void;
  /** Another process is about to own the partitions. */
  isSuperseded(): boolean;
  fenced(): void;
}

export class SimStore {
  private readonly ports: SimStorePorts;

  constructor(ports: SimStorePorts) {
    this.ports = ports;
  }

  afterLeader(delayMs: number, action: () => void): void {
    this.ports.after(delayMs, () => {
      this.withLeader(action);
    });
  }

  private withLeader(action: () => void): void {
    const { log, coverage, random } = this.ports;
    if (log.hasLeader) action();
    else {
      coverage.hit("read waits for a leader");
      this.afterLeader(log.leaderlessMs + random.nextFloat() * WAIT_MS_MAX, action);
    }
  }

  read(worker: SimWorker, message: Extract<FromWorker, { kind: "read" }>): void {
    const { log, random, swarm } = this.ports;
    const { partition, requestId, ranges } = message;
    // What is asked for first is read first, whatever is trimmed then.
    this.withLeader(() => {
      const pieces: Buffer[] = [];
      for (let i = 0; i < ranges.length; i += 3) {
        const [sequence, offset, length] = ranges.subarray(i, i + 3) as unknown as Range;
        const piece = log.frames.readRange(partition, { sequence, offset, length });
        if (piece === undefined) {
          this.hasGone(`frame ${sequence} of partition ${partition} was read after it was trimmed`);
          return;
        }
        pieces.push(piece);
      }
      this.ports.after(random.nextFloat() * swarm.appendMs, () => {
        const lengths = pieces.map(({ length }) => length);
        worker.post({ kind: "ranges", requestId, bytes: Buffer.concat(pieces), lengths });
      });
    });
  }

  /** Whoever was taken over may miss what its successor needs no more. */
  private hasGone(what: string): void {
    if (this.ports.log.hasLostTail) throw new CaxtonError("STORAGE_CORRUPT", what);
    promise(this.ports.isSuperseded(), () => what);
    this.ports.coverage.hitNamed("zombie missed what it read");
    this.ports.fenced();
  }

  serve(worker: SimWorker, message: BlobRequest): void {
    const { log, random, swarm, readsAt } = this.ports;
    const delayMs = random.nextFloat() * swarm.appendMs * 2;
    switch (message.kind) {
      case "store":
        this.afterLeader(delayMs, () => {
          const sha256 = log.blobs.put(message.content);
          worker.post({ kind: "stored", requestId: message.requestId, sha256 });
        });
        return;
      case "fetch":
        this.afterLeader(delayMs, () => {
          const { requestId, sha256, offset, length } = message;
          const blob = log.blobs.get(sha256, readsAt);
          // An image that was copied to another pack meanwhile is looked for there; the ledger sees whether it is.
          const mayHaveMoved =
            readsAt === "leader" && !log.hasLostTail && !this.ports.isSuperseded();
          if (blob === undefined && !mayHaveMoved) {
            this.hasGone(`blob ${sha256} was read after it was deleted`);
            return;
          }
          const bytes = blob && Uint8Array.from(blob.subarray(offset, offset + length));
          worker.post({ kind: "fetched", requestId, bytes });
        });
        return;
      case "trim":
        this.trim(message, delayMs);
    }
  }

  private trim(message: Extract<BlobRequest, { kind: "trim" }>, delayMs: number): void {
    const { log, random, coverage, timeline } = this.ports;
    const { generation } = log;
    const purge = (): void => {
      if (log.generation !== generation) return;
      if (this.ports.isSuperseded()) coverage.hit("trimmed by a zombie");
      log.frames.trim(message.partition, message.below);
      for (const sha256 of message.blobs) log.blobs.delete(sha256);
    };
    if (random.chance(0.5)) this.afterLeader(delayMs, purge);
    else timeline.after(log.leaderlessMs + random.nextFloat() * PURGE_MS_MAX, purge);
  }
}
