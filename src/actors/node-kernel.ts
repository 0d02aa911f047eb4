/**
 * The kernel of one node: builds its parts, starts and stops them, and joins the workers' messages to them.
 *
 * Owns whether the node can take work.
 */
import { randomBytes } from "node:crypto";
import { systemClock } from "../base/clock.ts";
import { ENTRY_ROOM_BYTES } from "../base/config.ts";
import type { Config, RetentionConfig } from "../base/config-schema.ts";
import { CaxtonError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { systemScheduler } from "../base/scheduler.ts";
import type { SpanSink } from "../base/trace.ts";
import { NODE_RECORD, patientStorage, type Storage, StorageAway } from "../storage/index.ts";
import { ActorAdmin } from "./actor-admin.ts";
import { AgentAdmin } from "./agent-admin.ts";
import type { AgentLog } from "./agent-log.ts";
import { AgentRegistry } from "./agent-registry.ts";
import { ClientRequests } from "./client-requests.ts";
import { DeadLetterAdmin } from "./dead-letter-admin.ts";
import { Deployer } from "./deployer.ts";
import { startOf } from "./environment.ts";
import { EventFeed } from "./event-feed.ts";
import type { MessageOperations, NodeKernel } from "./kernel.ts";
import { NO_WATCHER } from "./kernel-watcher.ts";
import type { KernelWatcher } from "./kernel-watcher.ts";
import { LogAppender } from "./log-appender.ts";
import { LogHistory } from "./log-history.ts";
import { LogRetention } from "./log-retention.ts";
import { NodeAdmin } from "./node-admin.ts";
import { openAgentLog } from "./open-agent-log.ts";
import { PartitionAccess } from "./partition-access.ts";
import { RecoverAnew } from "./recover-anew.ts";
import { SendStreams } from "./send-streams.ts";
import { SlowTurns } from "./slow-turns.ts";
import { Subscriptions } from "./subscriptions.ts";
import { unavailable } from "./unavailable.ts";
import { WorkerBlobs } from "./worker-blobs.ts";
import { WorkerPool } from "./worker-pool.ts";
import type { FromWorker } from "./worker-protocol.ts";

const FULL_RETRY_AFTER_MS = 1000;
/** Each attempt fences whoever wrote during the one before. */
const TAKE_OVER_TRIES_MAX = 10;

export interface KernelOptions {
  readonly storage: Storage;
  /** Where storage has servers: whether they are away. */
  readonly away?: StorageAway;
  readonly config: Config;
  /** What is in force, where a reload may change it. */
  readonly retention?: () => RetentionConfig;
  readonly log: Logger;
  readonly watcher?: KernelWatcher;
  /** Name of who will follow the events: the log keeps what it has not got, before it follows too. */
  readonly awaitedFollower?: string | undefined;
  /** Gets the spans of turns; without it none are made. */
  readonly spans?: SpanSink | undefined;
  /** Called at named moments; a test kills the process there. */
  readonly faultPoint?: (name: string) => void;
}

export type RunningKernel = NodeKernel & { stop(): Promise<void> };

/** Recovers the node's partitions and takes up work. */
export async function startKernel(options: KernelOptions): Promise<RunningKernel> {
  const { storage } = options;
  const config = withinFrames(options.config, storage.log.frameBytesMax);
  const incarnation = await nodeIncarnation(storage, config.partitions.count);
  const registry = new AgentRegistry(storage);
  await registry.load();
  const agentLogs = await openAgentLog(options, registry);
  for (let tries = 1; ; tries++) {
    const kernel = new LocalKernel({ ...options, config }, registry, incarnation, agentLogs);
    try {
      await kernel.start();
      return kernel;
    } catch (error) {
      if (!(error instanceof RecoverAnew) || tries === TAKE_OVER_TRIES_MAX) throw error;
      options.log.warn({ err: error }, "reading the logs again");
      await kernel.abandon();
    }
  }
}

/** Storage may take less in one frame than the configuration says; it leaves room for the largest effects. */
function withinFrames(config: Config, frameBytesMax: number): Config {
  if (config.limits.frameBytesMax <= frameBytesMax) return config;
  const { effectsBytesMax } = config.limits;
  if (effectsBytesMax + ENTRY_ROOM_BYTES > frameBytesMax) {
    const message = `must be at least ${String(ENTRY_ROOM_BYTES)} below what storage takes in one frame (${String(frameBytesMax)}), found ${String(effectsBytesMax)}`;
    const hint = "Lower it, or raise max_payload of the NATS servers.";
    throw new CaxtonError("INVALID_CONFIG", undefined, {
      findings: [{ at: "limits.effectsBytesMax", message, hint }],
    });
  }
  return { ...config, limits: { ...config.limits, frameBytesMax } };
}

/** Identity of the logs, and the partition count they were made with. */
async function nodeIncarnation(storage: Storage, partitions: number): Promise<number> {
  const found = await storage.records.get(NODE_RECORD);
  if (found === undefined) {
    await refuseLogsOfNobody(storage, partitions);
    const incarnation = randomBytes(4).readUInt32LE(0);
    const record = Buffer.from(JSON.stringify({ incarnation, partitions }));
    await storage.records.put(NODE_RECORD, record, 0);
    return incarnation;
  }
  const identity = JSON.parse(Buffer.from(found.value).toString("utf8")) as {
    incarnation: number;
    partitions: number;
  };
  if (identity.partitions === partitions) return identity.incarnation;
  throw new CaxtonError("INVALID_CONFIG", "The data directory has another number of partitions.", {
    findings: [
      {
        at: "partitions.count",
        message: `The data directory was created with ${String(identity.partitions)}, the configuration says ${String(partitions)}.`,
        hint: `Set partitions.count to ${String(identity.partitions)}.`,
      },
    ],
  });
}

/** A copy that was not finished has frames and no identity. */
async function refuseLogsOfNobody({ log }: Storage, partitions: number): Promise<void> {
  for (let partition = 0; partition < partitions; partition++) {
    if ((await log.lastSequence(partition)) === 0) continue;
    const text = "The storage holds logs, but not whose they are: a copy into it was not finished.";
    throw new CaxtonError("STORAGE_CORRUPT", `${text} Empty it and copy again.`);
  }
}

function eventFeedOf(options: KernelOptions, incarnation: number): EventFeed {
  const { storage, config, log, awaitedFollower: awaited } = options;
  return new EventFeed({
    awaited,
    log: storage.log,
    records: storage.records,
    logger: log,
    scheduler: systemScheduler,
    partitions: config.partitions.count,
    incarnation,
  });
}

class LocalKernel implements RunningKernel {
  readonly agents: AgentAdmin;
  readonly agentLogs: AgentLog;
  readonly messages: MessageOperations;
  readonly history: LogHistory;
  readonly events: EventFeed;
  readonly actors: ActorAdmin;
  readonly deadLetters: DeadLetterAdmin;
  readonly node: NodeAdmin;
  private readonly log: Logger;
  private readonly options: KernelOptions;
  private readonly watcher: KernelWatcher;
  private readonly wasClean: boolean;
  private readonly away: StorageAway;
  private readonly appender: LogAppender;
  private readonly pool: WorkerPool;
  private readonly requests: ClientRequests;
  private readonly streams: SendStreams;
  private readonly subscriptions: Subscriptions;
  private readonly slowTurns: SlowTurns;
  private failure: CaxtonError | undefined;
  private readonly failing = Promise.withResolvers<never>();
  private stopping = false;

  constructor(
    options: KernelOptions,
    registry: AgentRegistry,
    incarnation: number,
    agentLogs: AgentLog,
  ) {
    const { config, log, storage } = options;
    const count = config.partitions.count;
    this.log = log;
    this.failing.promise.catch(() => undefined);
    this.options = options;
    this.watcher = options.watcher ?? NO_WATCHER;
    this.wasClean = storage.opening.clean;
    this.away = options.away ?? new StorageAway();
    this.appender = new LogAppender(storage.log, log, this.away);
    this.events = eventFeedOf(options, incarnation);
    this.pool = this.createPool(options, registry, incarnation);
    const partitions = new PartitionAccess(this.pool, count, {
      failure: () => this.failure,
      stuck: () => this.stuck(),
      full: () => this.full(),
    });
    this.requests = new ClientRequests({
      partitions: count,
      limits: config.limits,
      workerOf: (partition) => this.pool.workerOf(partition),
      post: (worker, message, transfer) => {
        this.pool.post(worker, message, transfer);
      },
      refusal: (partition) => this.refusal(partition),
    });
    this.streams = new SendStreams({
      partitions,
      workerOf: (partition) => this.pool.workerOf(partition),
      post: (worker, message, transfer) => {
        this.pool.post(worker, message, transfer);
      },
      prepare: (input) => this.requests.prepare(input),
    });
    this.subscriptions = new Subscriptions({
      log: storage.log,
      partitions: count,
      incarnation,
      observe: (observation) => {
        this.pool.observe(observation);
      },
    });
    this.agents = this.createAgents(options, registry, partitions);
    this.agentLogs = agentLogs;
    this.slowTurns = new SlowTurns({ log, nowMs: () => systemClock.wallMs() });
    this.actors = new ActorAdmin(registry, partitions);
    this.history = new LogHistory(storage.log, partitions, this.actors, systemClock);
    this.deadLetters = new DeadLetterAdmin(partitions);
    this.messages = {
      // Async so that a refusal is a rejection like every other failure.
      send: async (input) => this.requests.send(input),
      ask: async (input) => this.requests.ask(input),
      openStream: (listener) => this.streams.open(listener),
      subscribe: (subscriber, token) => this.subscriptions.add(subscriber, token),
    };
    this.node = new NodeAdmin(config, storage, this.pool, partitions, {
      startedAtMs: systemClock.wallMs(),
      failure: () => this.failure,
      isStopping: () => this.stopping,
      isFull: () => this.isFull,
      whyFull: () => this.whyFull,
      away: () => this.away.reason,
    });
    this.away.onLong((error) => this.requests.failAll(error));
  }

  private createAgents(
    { config, log, faultPoint }: KernelOptions,
    registry: AgentRegistry,
    partitions: PartitionAccess,
  ): AgentAdmin {
    const announceEphemeral = (): void => {
      this.pool.broadcast({ kind: "ephemeral", agents: registry.ephemeral() });
    };
    const deployer = new Deployer({
      registry,
      limits: config.limits,
      partitions,
      nowMs: () => systemClock.wallMs(),
      faultPoint: faultPoint ?? (() => undefined),
      announce: (environment, module) => {
        this.pool.broadcast({ kind: "module", sha256: startOf(environment), module });
        this.pool.broadcast({ kind: "environment", environment });
        announceEphemeral();
      },
    });
    return new AgentAdmin(registry, deployer, partitions, log, announceEphemeral);
  }

  private createPool(
    options: KernelOptions,
    registry: AgentRegistry,
    incarnation: number,
  ): WorkerPool {
    const { config, log } = options;
    const storage = patientStorage(options.storage, () => this.stopping);
    const retained = options.retention ?? (() => config.retention);
    const partitions = config.partitions.count;
    const retention = new LogRetention({
      log: storage.log,
      config: retained,
      keptFrom: (partition) => this.events.floor(partition),
      clock: systemClock,
      scheduler: systemScheduler,
    });
    return new WorkerPool({
      workers: Math.min(config.workers.count, partitions),
      partitions,
      incarnation,
      limits: config.limits,
      snapshots: config.snapshots,
      slowTurnMs: config.log.slowTurnMs,
      tracing: options.spans !== undefined,
      blobs: new WorkerBlobs(storage, log, retention, {
        watcher: this.watcher,
        faultPoint: options.faultPoint ?? (() => undefined),
      }),
      watcher: this.watcher,
      storage,
      registry,
      appender: this.appender,
      committed: (frames) => {
        this.events.committed(frames);
      },
      log,
      received: (message) => {
        this.received(message);
      },
      lost: (worker, error) => {
        this.requests.failAll(error, worker);
        this.streams.lost(worker);
      },
      failed: (error) => {
        this.failed(error);
      },
    });
  }

  async start(): Promise<void> {
    await Promise.race([this.pool.start(this.wasClean), this.failing.promise]);
    this.events.started();
    await this.agents.reconcile();
  }

  /** Before it was started. */
  async abandon(): Promise<void> {
    this.stopping = true;
    await this.pool.stop();
  }

  async stop(): Promise<void> {
    this.stopping = true;
    this.requests.failAll(new CaxtonError("NOT_READY", "The node is stopping."));
    this.subscriptions.close();
    this.agentLogs.close();
    await this.pool.stop();
    await this.agentLogs.written();
  }

  private received(message: FromWorker): void {
    switch (message.kind) {
      case "results":
        this.requests.results(message);
        return;
      case "streamed":
        this.streams.streamed(message);
        return;
      case "activated":
        for (const tookMs of message.tookMs) this.watcher.activated(tookMs);
        return;
      case "upgraded":
        this.options.faultPoint?.("upgrade.after-import");
        this.watcher.upgraded();
        return;
      case "logs":
        this.agentLogs.append(message.lines);
        return;
      case "observing":
        this.subscriptions.started(message);
        return;
      case "slow":
        this.slowTurns.warn(message.turns);
        return;
      case "spans":
        for (const span of message.spans) this.options.spans?.add(span);
        return;
      case "messages":
        this.subscriptions.publish(message);
        return;
      case "escalate":
        void this.agents.escalate(message.agent, message.reason);
        return;
      default:
    }
  }

  private failed(error: CaxtonError): void {
    if (this.stopping || this.failure !== undefined) return;
    this.failure = error;
    this.failing.reject(error);
    this.log.fatal({ err: error, code: error.code }, "the node can't go on");
    this.requests.failAll(error);
  }

  private refusal(partition: number): CaxtonError | undefined {
    if (this.failure !== undefined) return this.failure;
    if (this.stopping) return new CaxtonError("NOT_READY", "The node is stopping.");
    if (!this.pool.isReady(partition)) return unavailable(partition);
    return this.full();
  }

  private get isFull(): boolean {
    return this.appender.isFull || this.pool.isShort;
  }

  /** Why an answer would hang on a frame that waits. */
  private stuck(): CaxtonError | undefined {
    return this.away.refusal ?? (this.appender.isFull ? this.full() : undefined);
  }

  private full(): CaxtonError | undefined {
    if (this.away.refusal !== undefined) return this.away.refusal;
    if (!this.isFull) return undefined;
    return new CaxtonError("STORAGE_FULL", this.whyFull, { retryAfterMs: FULL_RETRY_AFTER_MS });
  }

  /** With what keeps the log, where that can be told. */
  private get whyFull(): string {
    const { failure } = this.events;
    const held =
      failure === undefined
        ? "checkpoints make what room they can"
        : `events that can't leave keep the log: ${failure}`;
    return `${this.appender.whyFull}; ${held}`;
  }
}
