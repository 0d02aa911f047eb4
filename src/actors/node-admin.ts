/** The node as operators see it: its supervision tree and whether it can take work. */
import type { Config } from "../base/config-schema.ts";
import type { CaxtonError } from "../base/errors.ts";
import { VERSION } from "../base/version.ts";
import { within } from "../base/within.ts";
import type { Storage } from "../storage/index.ts";
import type {
  NodeOperations,
  NodeStatus,
  NodeTrouble,
  PartitionStatus,
  SupervisorNode,
} from "./kernel.ts";
import type { PartitionAccess } from "./partition-access.ts";
import type { PartitionFacts } from "./queries.ts";
import type { WorkerPool } from "./worker-pool.ts";

export interface NodeHealth {
  readonly startedAtMs: number;
  failure(): CaxtonError | undefined;
  isStopping(): boolean;
  isFull(): boolean;
  /** The last time it was. */
  whyFull(): string;
  /** That the storage servers are away, and for how long. */
  away(): string | undefined;
}

/** Who asks how the node is does not wait until a frame that is stuck is not. */
const ANSWER_MS = 2000;

export class NodeAdmin implements NodeOperations {
  private readonly config: Config;
  private readonly storage: Storage;
  private readonly pool: WorkerPool;
  private readonly partitions: PartitionAccess;
  private readonly health: NodeHealth;

  constructor(
    config: Config,
    storage: Storage,
    pool: WorkerPool,
    partitions: PartitionAccess,
    health: NodeHealth,
  ) {
    this.config = config;
    this.storage = storage;
    this.pool = pool;
    this.partitions = partitions;
    this.health = health;
  }

  async supervisorTree(options: { actorsMax: number }): Promise<SupervisorNode> {
    const { actorsMax } = options;
    const partitions = await Promise.all(
      this.partitions.ids.map((partition) =>
        this.partitions.query<SupervisorNode>({ kind: "supervisor", partition, actorsMax }),
      ),
    );
    const count = Math.min(this.config.workers.count, this.config.partitions.count);
    const workers = Array.from({ length: count }, (_, worker): SupervisorNode => ({
      kind: "worker",
      name: String(worker),
      status: "running",
      restarts: this.pool.restartsOf(worker),
      children: partitions.filter((_node, p) => this.pool.workerOf(p) === worker),
      omitted: 0,
    }));
    return {
      kind: "node",
      name: this.config.node.id,
      status: this.health.failure() === undefined ? "running" : "failed",
      strategy: "one_for_one",
      restarts: 0,
      children: workers,
      omitted: 0,
    };
  }

  async status(): Promise<NodeStatus> {
    const partitions = await Promise.all(this.partitions.ids.map((p) => this.partitionStatus(p)));
    const usage = this.storage.log.usage();
    const notReady = this.troubles(partitions);
    return {
      nodeId: this.config.node.id,
      version: VERSION,
      startedAtMs: this.health.startedAtMs,
      ready: notReady.length === 0,
      notReady,
      workers: Math.min(this.config.workers.count, this.config.partitions.count),
      partitions,
      storage: {
        engine: this.storage.engine,
        directory: this.config.storage.directory,
        bytes: usage.bytes,
        bytesMax: usage.bytesMax,
        fsyncs: usage.fsyncs,
        commits: usage.commits,
        full: this.health.isFull(),
        cleanStart: this.storage.opening.clean,
        durability: this.storage.durability.profile,
        durabilityVerified: this.storage.durability.isVerified,
      },
    };
  }

  private troubles(partitions: readonly PartitionStatus[]): NodeTrouble[] {
    const troubles: NodeTrouble[] = [];
    const add = (component: NodeTrouble["component"], reason: string): void => {
      troubles.push({ component, reason });
    };
    const failure = this.health.failure();
    if (failure !== undefined) {
      const component = failure.code.startsWith("STORAGE_") ? "storage" : "node";
      add(component, `${failure.code}: ${failure.message}`);
    }
    if (this.health.isStopping()) add("node", "the node is stopping");
    if (this.health.isFull()) add("storage", `STORAGE_FULL: ${this.health.whyFull()}`);
    const away = this.health.away();
    if (away !== undefined) add("storage", `storage: ${away}`);
    if (away !== undefined) return troubles;
    const waiting = partitions.filter((p) => !p.ready).map((p) => p.partition);
    const recovering = waiting.filter((partition) => !this.pool.isReady(partition));
    const silent = waiting.filter((partition) => this.pool.isReady(partition));
    if (recovering.length > 0) {
      add("partitions", `partitions recovering: ${recovering.join(", ")}`);
    }
    if (silent.length > 0 && troubles.length === 0) {
      add("partitions", `partitions without an answer: ${silent.join(", ")}`);
    }
    return troubles;
  }

  private async partitionStatus(partition: number): Promise<PartitionStatus> {
    const worker = this.pool.workerOf(partition);
    const { health } = this;
    const isStuck = health.isFull() || health.away() !== undefined;
    const answer =
      health.failure() === undefined && this.pool.isReady(partition) && !isStuck
        ? await within(
            ANSWER_MS,
            this.partitions
              .query<PartitionFacts>({ kind: "status", partition })
              .catch(() => undefined),
          )
        : undefined;
    return { ...(answer ?? noFacts(partition)), worker, ready: answer !== undefined };
  }
}

function noFacts(partition: number): PartitionFacts {
  return {
    partition,
    epoch: 0,
    frame: 0,
    actors: 0,
    pendingMessages: 0,
    deadLetters: 0,
    deadLettersEvicted: 0,
    turns: 0,
    turnsFailed: 0,
    turnsReplayed: 0,
    recoveredPending: 0,
  };
}
