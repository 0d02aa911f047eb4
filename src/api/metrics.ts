/** The node's metrics in Prometheus form: what the API counts itself, and the kernel's own figures. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import {
  type AgentInfo,
  type KernelWatcher,
  NODE_COMPONENTS,
  type NodeStatus,
  type PartitionStatus,
} from "../actors/index.ts";
import { AgentMetrics } from "./agent-metrics.ts";

const ACTIVATION_SECONDS = [
  0.000_05, 0.000_1, 0.000_15, 0.000_2, 0.000_3, 0.000_5, 0.001, 0.002, 0.003, 0.005, 0.01, 0.1, 1,
];
const COMMIT_SECONDS = [0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5];
const FRAME_BYTES = [256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576];
const SECONDS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30];

export class ApiMetrics implements KernelWatcher {
  readonly #registry = new Registry();
  readonly #requests = new Histogram({
    name: "caxton_request_duration_seconds",
    help: "Time from a request's arrival to its answer; a send's includes its commit.",
    labelNames: ["method", "code"],
    buckets: SECONDS,
    registers: [this.#registry],
  });
  readonly #accepted = new Counter({
    name: "caxton_messages_accepted_total",
    help: "Messages accepted from clients, duplicates not counted.",
    registers: [this.#registry],
  });
  readonly #activations = new Histogram({
    name: "caxton_activation_seconds",
    help: "Time in which an actor's memory was brought back from its image and the turns after it.",
    buckets: ACTIVATION_SECONDS,
    registers: [this.#registry],
  });
  readonly #upgrades = new Counter({
    name: "caxton_actors_upgraded_total",
    help: "Actors that took their state over to another version of their agent.",
    registers: [this.#registry],
  });
  readonly #commits = new Histogram({
    name: "caxton_commit_duration_seconds",
    help: "Time in which frames of some partitions became durable together.",
    buckets: COMMIT_SECONDS,
    registers: [this.#registry],
  });
  readonly #frameBytes = new Histogram({
    name: "caxton_frame_size_bytes",
    help: "Size of a frame: one group commit of a partition.",
    buckets: FRAME_BYTES,
    registers: [this.#registry],
  });
  readonly #storedBytes = new Counter({
    name: "caxton_snapshot_written_bytes_total",
    help: "Images of actors and states of partitions that became durable.",
    registers: [this.#registry],
  });
  readonly #checkpoints = new Counter({
    name: "caxton_checkpoints_total",
    help: "Checkpoints of partitions, after each of which its log is trimmed.",
    registers: [this.#registry],
  });
  readonly #workersReplaced = new Counter({
    name: "caxton_workers_replaced_total",
    help: "Worker threads that died and were replaced.",
    registers: [this.#registry],
  });
  readonly #logLinesLost = new Counter({
    name: "caxton_agent_log_lines_lost_total",
    help: "Log lines of agents that could not be written to their files.",
    registers: [this.#registry],
  });
  readonly #spans = new Counter({
    name: "caxton_spans_total",
    help: "Spans of traces by what became of them: exported or dropped.",
    labelNames: ["outcome"],
    registers: [this.#registry],
  });
  readonly #agents = new AgentMetrics(this.#registry);
  readonly #loopDelay = monitorEventLoopDelay({ resolution: 20 });
  readonly #kernelFigures = KERNEL_FIGURES.map((figure) => register(figure, this.#registry));
  readonly #health = new Gauge({
    name: "caxton_health",
    help: "1 while a component is well. node, storage and partitions are what readiness is made of, /readyz says why one is not; agents is 0 while an agent is suspended, which keeps nobody else from work.",
    labelNames: ["component"],
    registers: [this.#registry],
  });
  readonly #loopLag = new Gauge({
    name: "caxton_event_loop_lag_max_seconds",
    help: "Longest delay of the main thread's event loop since the last scrape.",
    registers: [this.#registry],
  });

  constructor() {
    this.#loopDelay.enable();
    collectDefaultMetrics({ register: this.#registry });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  requestEnded(method: string, code: string, seconds: number): void {
    this.#requests.observe({ method, code }, seconds);
  }

  messageAccepted(count = 1): void {
    this.#accepted.inc(count);
  }

  activated(tookMs: number): void {
    this.#activations.observe(tookMs / 1000);
  }

  upgraded(): void {
    this.#upgrades.inc();
  }

  committed(tookMs: number, frameBytes: readonly number[]): void {
    this.#commits.observe(tookMs / 1000);
    for (const bytes of frameBytes) this.#frameBytes.observe(bytes);
  }

  stored(bytes: number): void {
    this.#storedBytes.inc(bytes);
  }

  checkpointed(): void {
    this.#checkpoints.inc();
  }

  workerReplaced(): void {
    this.#workersReplaced.inc();
  }

  logLinesLost(lines: number): void {
    this.#logLinesLost.inc(lines);
  }

  spansCounted(outcome: "exported" | "dropped", spans: number): void {
    this.#spans.inc({ outcome }, spans);
  }

  /** Without a status (the node is starting) the kernel's figures keep their last values. */
  async render(
    status: NodeStatus | undefined,
    agents: readonly AgentInfo[] | undefined,
  ): Promise<string> {
    if (status !== undefined) {
      for (const update of this.#kernelFigures) update(status);
      for (const component of NODE_COMPONENTS) {
        const isWell = !status.notReady.some((trouble) => trouble.component === component);
        this.#health.set({ component }, Number(isWell));
      }
    }
    if (agents !== undefined) {
      this.#agents.update(agents);
      const isWell = agents.every((agent) => agent.status !== "suspended");
      this.#health.set({ component: "agents" }, Number(isWell));
    }
    this.#loopLag.set(this.#loopDelay.max / 1e9);
    this.#loopDelay.reset();
    return this.#registry.metrics();
  }

  /** What there is beside the figures of every Node process, for the table in docs/. */
  async describe(): Promise<{ name: string; type: string; help: string }[]> {
    const metrics = await this.#registry.getMetricsAsJSON();
    const own = metrics.filter(({ name }) => name.startsWith("caxton_"));
    return own.map(({ name, type, help }) => ({ name, type: String(type), help }));
  }

  close(): void {
    this.#loopDelay.disable();
  }
}

interface KernelFigure {
  readonly name: string;
  readonly help: string;
  readonly read: (status: NodeStatus) => number;
}

/** A name that ends in `_total` is a counter, which the kernel counts and this only shows. */
function register(figure: KernelFigure, registry: Registry): (status: NodeStatus) => void {
  const { name, help, read } = figure;
  if (!name.endsWith("_total")) {
    const gauge = new Gauge({ name, help, registers: [registry] });
    return (status) => gauge.set(read(status));
  }
  const counter = new Counter({ name, help, registers: [registry] });
  return (status) => {
    counter.reset();
    counter.inc(read(status));
  };
}

function sum(field: keyof PartitionStatus): (status: NodeStatus) => number {
  return (status) =>
    status.partitions.reduce((total, partition) => total + Number(partition[field]), 0);
}

const KERNEL_FIGURES: readonly KernelFigure[] = [
  { name: "caxton_ready", help: "1 when the node is ready.", read: (s) => Number(s.ready) },
  { name: "caxton_turns_total", help: "Turns committed.", read: sum("turns") },
  { name: "caxton_turns_failed_total", help: "Turns that failed.", read: sum("turnsFailed") },
  {
    name: "caxton_turns_replayed_total",
    help: "Turns executed again to rebuild memory since the process started.",
    read: sum("turnsReplayed"),
  },
  { name: "caxton_frames_total", help: "Frames in the logs since creation.", read: sum("frame") },
  { name: "caxton_actors", help: "Actors that exist.", read: sum("actors") },
  {
    name: "caxton_mailbox_messages",
    help: "Messages accepted and not handled.",
    read: sum("pendingMessages"),
  },
  { name: "caxton_dead_letters", help: "Dead letters kept.", read: sum("deadLetters") },
  {
    name: "caxton_dead_letters_evicted_total",
    help: "Dead letters that went because their bound was reached.",
    read: sum("deadLettersEvicted"),
  },
  {
    name: "caxton_storage_commits_total",
    help: "Physical commits since the process started.",
    read: (s) => s.storage.commits,
  },
  {
    name: "caxton_storage_fsyncs_total",
    help: "Calls of fsync since the process started.",
    read: (s) => s.storage.fsyncs,
  },
  { name: "caxton_storage_bytes", help: "Disk space in use.", read: (s) => s.storage.bytes },
  {
    name: "caxton_storage_bytes_max",
    help: "Disk space that may be used.",
    read: (s) => s.storage.bytesMax,
  },
];
