/**
 * One worker: a real shard behind queues.
 *
 * 1. Messages from and to the main thread keep their order, however long they take.
 */
import type { PartitionProcessor } from "../../src/actors/partition/processor.ts";
import { Shard } from "../../src/actors/shard.ts";
import type { FromWorker, PackedResult, ToWorker } from "../../src/actors/worker-protocol.ts";
import { CaxtonError, ensureError } from "../../src/base/errors.ts";
import type { SeededRandom } from "../../src/base/random.ts";
import type { Coverage } from "./coverage.ts";
import { EXIT_CRASH, SimFailure } from "./failure.ts";
import { ProcessCrash } from "./script.ts";
import { ScriptedExecutor } from "./scripted-executor.ts";
import type { Swarm } from "./swarm.ts";
import type { Timeline } from "./timeline.ts";

/** For frames kept until actors are back: none but one, few, or all. */
const TAIL_BYTES_MAX = [0, 8192, 128 * 1024 * 1024];

export interface SimWorkerPorts {
  readonly swarm: Swarm;
  readonly timeline: Timeline;
  readonly random: SeededRandom;
  readonly coverage: Coverage;
  readonly incarnation: number;
  wallMs(): number;
  /** A replay gave other effects. */
  diverged(actor: string): void;
  /** An answer leaves: what it says must be durable. */
  leaving(result: PackedResult, reply: Buffer | undefined): void;
}

/** The main thread, as a worker sees it. */
export interface MainThread {
  /** Runs the action unless the process ends before. */
  after(delayMs: number, action: () => void): () => void;
  received(message: FromWorker): void;
  /** The worker has taken in a message. */
  handled(message: ToWorker): void;
  /** A message ended the process. */
  crashed(): void;
}

export class SimWorker {
  private readonly index: number;
  private readonly ports: SimWorkerPorts;
  private readonly main: MainThread;
  private readonly shard: Shard;
  private readonly toWorker: ToWorker[] = [];
  private readonly toMain: FromWorker[] = [];
  private ended = false;

  constructor(index: number, suspects: SharedArrayBuffer, ports: SimWorkerPorts, main: MainThread) {
    this.index = index;
    this.ports = ports;
    this.main = main;
    const { swarm, random, incarnation, timeline } = ports;
    const { partitions, limits, snapshots } = swarm;
    const shared = new SharedArrayBuffer(8);
    const identity = { worker: index, partitions, incarnation };
    const seed = random.nextUint32();
    this.shard = new Shard(
      {
        ...identity,
        limits,
        snapshots,
        residentsMax: Infinity,
        slowTurnMs: 0,
        tracing: false,
        shared,
        suspects,
      },
      {
        clock: { wallMs: () => ports.wallMs(), monotonicMs: () => timeline.nowMs },
        scheduler: {
          soon: (run) => {
            this.after(random.nextFloat() * 0.1, run);
          },
          after: (delayMs, run) => this.after(delayMs, run),
        },
        seed,
        tailBytesMax: TAIL_BYTES_MAX[seed % TAIL_BYTES_MAX.length]!,
        post: (message) => {
          this.postToMain(message);
        },
        createExecutor: (batch, shard) =>
          new ScriptedExecutor(batch, {
            random,
            coverage: ports.coverage,
            askChainMax: limits.askChainMax,
            environment: (id) => shard.environment(id),
            diverged: (actor) => {
              ports.diverged(actor);
            },
            leaving: (actor) => {
              shard.leaving(actor);
            },
          }),
      },
    );
  }

  end(): void {
    this.ended = true;
  }

  get isQuiet(): boolean {
    return this.toWorker.length === 0 && this.toMain.length === 0;
  }

  /** A partition as it is, for the checks. */
  processor(partition: number): PartitionProcessor | undefined {
    const inside = this.shard as unknown as {
      partitions: Map<number, { processor: PartitionProcessor }>;
    };
    return inside.partitions.get(partition)?.processor;
  }

  post(message: ToWorker): void {
    if (this.ended) return;
    this.toWorker.push(message);
    this.after(this.hopMs(), () => {
      const first = this.toWorker.shift()!;
      this.shard.handle(first);
      this.main.handled(first);
    });
  }

  private postToMain(message: FromWorker): void {
    if (message.kind === "results") this.checkLeaving(message);
    this.toMain.push(message);
    this.main.after(this.hopMs(), () => {
      const first = this.toMain.shift()!;
      if (!this.ended) this.main.received(first);
    });
  }

  private hopMs(): number {
    return this.ports.random.nextFloat() ** 3 * 0.5;
  }

  private checkLeaving({ results, bytes }: Extract<FromWorker, { kind: "results" }>): void {
    for (const result of results) this.ports.leaving(result, replyOf(result, bytes));
  }

  private after(delayMs: number, action: () => void): () => void {
    return this.main.after(delayMs, () => {
      if (!this.ended) this.guarded(action);
    });
  }

  private guarded(action: () => void): void {
    try {
      action();
    } catch (thrown) {
      if (thrown instanceof ProcessCrash) {
        this.main.crashed();
        return;
      }
      if (thrown instanceof SimFailure) throw thrown;
      if (thrown instanceof CaxtonError && thrown.code === "STORAGE_CORRUPT") throw thrown;
      const { stack } = ensureError(thrown);
      throw new SimFailure(EXIT_CRASH, `worker ${this.index}: ${stack ?? ""}`);
    }
  }
}

export function replyOf(result: PackedResult, bytes: Uint8Array): Buffer | undefined {
  if (result.kind !== "reply") return undefined;
  return Buffer.from(bytes.subarray(result.offset, result.offset + result.length));
}
