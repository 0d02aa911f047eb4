/**
 * The kernel of one node: agents, workers, requests and reads behind one interface.
 *
 * Owns the lifetime of the workers and everything that is per node rather than per partition.
 */
import { randomBytes } from "node:crypto";
import { CaxtonError } from "../base/errors.ts";
import { systemClock } from "../base/clock.ts";
import type { Config } from "../base/config-schema.ts";
import type { Logger } from "../base/log.ts";
import { VERSION } from "../base/version.ts";
import type { Storage } from "../storage/index.ts";
import { formatAddress, hashAddressText, parseAddress, partitionOf } from "./address.ts";
import { AgentRegistry } from "./agent-registry.ts";
import type { AgentRecord } from "./agent-registry.ts";
import { ClientRequests } from "./client-requests.ts";
import { Deployer } from "./deployer.ts";
import type {
  ActorInfo,
  ActorStatus,
  AgentInfo,
  AskInput,
  AskResult,
  DeadLetter,
  DeployRequest,
  DeployResult,
  MessageSubscriber,
  NodeKernel,
  NodeStatus,
  Page,
  PageRequest,
  PartitionStatus,
  SendInput,
  SendResult,
  StateEntry,
  SupervisorNode,
} from "./kernel.ts";
import { LogAppender } from "./log-appender.ts";
import { logAgentLines } from "./agent-log.ts";
import type { Control } from "./partition/control.ts";
import type { AgentShareInfo, PartitionFacts, Query } from "./queries.ts";
import { Subscriptions } from "./subscriptions.ts";
import { WorkerPool, unavailable } from "./worker-pool.ts";
import type { FromWorker } from "./worker-protocol.ts";

const NODE_RECORD = "node/identity";
const NO_PAGE_TOKEN = "";

export interface KernelOptions {
  readonly storage: Storage;
  readonly config: Config;
  readonly log: Logger;
  /** Called at named moments; a test kills the process there. */
  readonly faultPoint?: (name: string) => void;
}

export type RunningKernel = NodeKernel & { stop(): Promise<void> };

/** Recovers the node's partitions and takes up work. */
export async function startKernel(options: KernelOptions): Promise<RunningKernel> {
  const { storage, config } = options;
  const incarnation = await nodeIncarnation(storage, config.partitions.count);
  const registry = new AgentRegistry(storage);
  await registry.load();
  const kernel = new LocalKernel(options, registry, incarnation);
  await kernel.start();
  return kernel;
}

/** Identity of the logs, and the partition count they were made with. */
async function nodeIncarnation(storage: Storage, partitions: number): Promise<number> {
  const found = await storage.records.get(NODE_RECORD);
  if (found === undefined) {
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

class LocalKernel implements RunningKernel {
  private readonly config: Config;
  private readonly log: Logger;
  private readonly storage: Storage;
  private readonly registry: AgentRegistry;
  private readonly appender: LogAppender;
  private readonly pool: WorkerPool;
  private readonly requests: ClientRequests;
  private readonly deployer: Deployer;
  private readonly subscriptions: Subscriptions;
  private readonly startedAtMs = systemClock.wallMs();
  private failure: CaxtonError | undefined;
  private stopping = false;

  constructor(options: KernelOptions, registry: AgentRegistry, incarnation: number) {
    const { config, log, storage } = options;
    const { limits } = config;
    const partitions = config.partitions.count;
    this.config = config;
    this.log = log;
    this.storage = storage;
    this.registry = registry;
    this.appender = new LogAppender(storage.log, log);
    this.pool = new WorkerPool({
      workers: Math.min(config.workers.count, partitions),
      partitions,
      incarnation,
      limits,
      storage,
      registry,
      appender: this.appender,
      log,
      received: (_worker, message) => {
        this.received(message);
      },
      lost: (worker, error) => {
        this.requests.failAll(error, worker);
      },
      failed: (error) => {
        this.failed(error);
      },
    });
    this.requests = new ClientRequests({
      partitions,
      limits,
      workerOf: (partition) => this.pool.workerOf(partition),
      post: (worker, message, transfer) => {
        this.pool.post(worker, message, transfer);
      },
      refusal: (partition) => this.refusal(partition),
    });
    this.subscriptions = new Subscriptions((on) => {
      this.pool.broadcast({ kind: "observe", on });
    });
    this.deployer = new Deployer({
      registry,
      limits,
      partitions,
      nowMs: () => systemClock.wallMs(),
      faultPoint: options.faultPoint ?? (() => undefined),
      announce: (environment, module) => {
        this.pool.broadcast({ kind: "module", sha256: environment.moduleSha256, module });
        this.pool.broadcast({ kind: "environment", environment });
        this.pool.broadcast({ kind: "ephemeral", agents: registry.ephemeral() });
      },
      controlAll: (control) => this.controlAll(control),
      actorsWithMemory: async (agent) => {
        const shares = (await this.queryAll<AgentShareInfo[]>("agents")).flat();
        return shares
          .filter((share) => share.name === agent)
          .reduce((sum, share) => sum + share.actorsWithMemory, 0);
      },
    });
  }

  async start(): Promise<void> {
    await this.pool.start(this.storage.opening.clean);
    await this.reconcileAgents();
  }

  /** A crash may have hit between an agent's record and its entry in every partition. */
  private async reconcileAgents(): Promise<void> {
    const partitions = await this.queryAll<AgentShareInfo[]>("agents");
    const pending: Promise<void>[] = [];
    partitions.forEach((shares, partition) => {
      const known = new Map(shares.map((share) => [share.name, share]));
      for (const record of this.registry.all()) {
        const agent = `${record.namespace}/${record.name}`;
        const share = known.get(agent);
        known.delete(agent);
        for (const control of missing(record, agent, share)) {
          pending.push(this.control(partition, control));
        }
      }
      for (const agent of known.keys()) {
        pending.push(this.control(partition, { kind: "remove", agent }));
      }
    });
    await Promise.all(pending);
  }

  async stop(): Promise<void> {
    this.stopping = true;
    this.requests.failAll(new CaxtonError("NOT_READY", "The node is stopping."));
    this.subscriptions.close();
    await this.pool.stop();
  }

  private received(message: FromWorker): void {
    switch (message.kind) {
      case "results":
        this.requests.results(message);
        return;
      case "logs":
        logAgentLines(this.log, message.lines);
        return;
      case "messages":
        this.subscriptions.publish(message);
        return;
      case "escalate":
        void this.escalate(message.agent, message.reason);
        return;
      default:
    }
  }

  private failed(error: CaxtonError): void {
    if (this.stopping || this.failure !== undefined) return;
    this.failure = error;
    this.log.fatal({ err: error, code: error.code }, "the node can't go on");
    this.requests.failAll(error);
  }

  private refusal(partition: number): CaxtonError | undefined {
    if (this.failure !== undefined) return this.failure;
    if (this.stopping) return new CaxtonError("NOT_READY", "The node is stopping.");
    if (!this.pool.isReady(partition)) return unavailable(partition);
    if (this.appender.isFull) {
      return new CaxtonError("STORAGE_FULL", undefined, { retryAfterMs: 1000 });
    }
    return undefined;
  }

  private partitionOf(address: string): number {
    return partitionOf(hashAddressText(address), this.config.partitions.count);
  }

  private query<T>(query: Query): Promise<T> {
    if (this.failure !== undefined) throw this.failure;
    return this.pool.request<T>(query.partition, (requestId) => ({
      kind: "query",
      requestId,
      query,
    }));
  }

  private queryAll<T>(kind: "agents" | "status"): Promise<T[]> {
    return Promise.all(this.partitionIds().map((partition) => this.query<T>({ kind, partition })));
  }

  private partitionIds(): number[] {
    return Array.from({ length: this.config.partitions.count }, (_, partition) => partition);
  }

  private control(partition: number, control: Control): Promise<void> {
    return this.pool.request(partition, (requestId) => ({
      kind: "control",
      requestId,
      partition,
      control,
    }));
  }

  private async controlAll(control: Control): Promise<void> {
    await Promise.all(this.partitionIds().map((partition) => this.control(partition, control)));
  }

  // --- Agents -------------------------------------------------------------------------------------------

  async deploy(request: DeployRequest): Promise<DeployResult> {
    const { record, changed, stages } = await this.deployer.deploy(request);
    return { agent: await this.agentInfo(record), changed, stages };
  }

  async listAgents(namespace: string | undefined): Promise<AgentInfo[]> {
    const records = this.registry
      .all()
      .filter((record) => namespace === undefined || record.namespace === namespace)
      .sort((a, b) => (fullName(a) < fullName(b) ? -1 : 1));
    const shares = (await this.queryAll<AgentShareInfo[]>("agents")).flat();
    return records.map((record) => this.describe(record, shares));
  }

  async getAgent(namespace: string, name: string): Promise<AgentInfo> {
    return this.agentInfo(this.registry.get(namespace, name));
  }

  private async agentInfo(record: AgentRecord): Promise<AgentInfo> {
    return this.describe(record, (await this.queryAll<AgentShareInfo[]>("agents")).flat());
  }

  private describe(record: AgentRecord, shares: readonly AgentShareInfo[]): AgentInfo {
    const environment = this.registry.environment(record.environment);
    const own = shares.filter((share) => share.name === fullName(record));
    const sum = (value: (share: AgentShareInfo) => number): number =>
      own.reduce((total, share) => total + value(share), 0);
    const { namespace, name, status, reason, deployedAtMs, language, moduleBytes } = record;
    return {
      namespace,
      name,
      version: environment.version,
      status,
      ...(reason === undefined ? {} : { reason }),
      deployedAtMs,
      language,
      moduleBytes,
      manifest: environment.manifest,
      actors: sum((share) => share.actors),
      messagesHandled: sum((share) => share.messagesHandled),
      messagesFailed: sum((share) => share.messagesFailed),
    };
  }

  deleteAgent(namespace: string, name: string): Promise<void> {
    return this.deployer.alone(async () => {
      const agent = fullName(this.registry.get(namespace, name));
      await this.registry.remove(namespace, name);
      await this.controlAll({ kind: "remove", agent });
      this.pool.broadcast({ kind: "ephemeral", agents: this.registry.ephemeral() });
    });
  }

  suspendAgent(namespace: string, name: string, reason: string): Promise<AgentInfo> {
    return this.changeStatus(namespace, name, "suspended", reason);
  }

  resumeAgent(namespace: string, name: string): Promise<AgentInfo> {
    return this.changeStatus(namespace, name, "running", undefined);
  }

  private changeStatus(
    namespace: string,
    name: string,
    status: AgentRecord["status"],
    reason: string | undefined,
  ): Promise<AgentInfo> {
    return this.deployer.alone(async () => {
      const record = { ...this.registry.get(namespace, name), status, reason };
      const agent = fullName(record);
      await this.registry.put(record);
      await this.controlAll(
        status === "running"
          ? { kind: "resume", agent }
          : { kind: "suspend", agent, reason: reason ?? "" },
      );
      return this.agentInfo(record);
    });
  }

  private async escalate(agent: string, reason: string): Promise<void> {
    this.log.error({ agent, reason }, "agent suspended: it failed too often");
    const [namespace = "", name = ""] = agent.split("/");
    if (this.registry.find(namespace, name)?.status !== "running") return;
    await this.suspendAgent(namespace, name, reason).catch((error: unknown) => {
      this.log.error({ err: error, agent }, "could not suspend the agent everywhere");
    });
  }

  // --- Messages -----------------------------------------------------------------------------------------

  // Async so that a refusal is a rejection like every other failure.
  async send(input: SendInput): Promise<SendResult> {
    return this.requests.send(input);
  }

  async ask(input: AskInput): Promise<AskResult> {
    return this.requests.ask(input);
  }

  subscribe(subscriber: MessageSubscriber): () => void {
    return this.subscriptions.add(subscriber);
  }

  // --- Actors and state ---------------------------------------------------------------------------------

  async listActors(
    filter: { namespace?: string; agent?: string; status?: ActorStatus },
    page: PageRequest,
  ): Promise<Page<ActorInfo>> {
    const prefix = addressPrefix(filter);
    const { status } = filter;
    return this.pageOverPartitions(
      page,
      (partition, after, max) =>
        this.query({ kind: "actors", partition, prefix, status, after, max }),
      (actor) => actor.address,
    );
  }

  /** Pages partition by partition; the token names the partition and the last item taken from it. */
  private async pageOverPartitions<T>(
    page: PageRequest,
    read: (partition: number, after: string, max: number) => Promise<T[]>,
    keyOf: (item: T) => string,
  ): Promise<Page<T>> {
    let [partition, after] = parsePageToken(page.pageToken);
    const items: T[] = [];
    for (; partition < this.config.partitions.count; partition++, after = "") {
      const found = await read(partition, after, page.pageSize - items.length);
      items.push(...found);
      if (items.length < page.pageSize) continue;
      const token = `${String(partition)}:${keyOf(items.at(-1)!)}`;
      return { items, nextPageToken: Buffer.from(token).toString("base64url") };
    }
    return { items };
  }

  async getActor(address: string): Promise<ActorInfo> {
    const canonical = this.canonical(address);
    const partition = this.partitionOf(canonical);
    const actor = await this.query<ActorInfo | undefined>({
      kind: "actor",
      partition,
      address: canonical,
    });
    if (actor !== undefined) return actor;
    throw new CaxtonError("ACTOR_NOT_FOUND", `There is no actor ${canonical}.`);
  }

  /** The canonical form of an address whose agent is deployed. */
  private canonical(address: string): string {
    const parsed = parseAddress(address);
    this.registry.get(parsed.namespace, parsed.agent);
    return formatAddress(parsed);
  }

  releaseActor(address: string): Promise<ActorInfo> {
    return this.changeActor(address, "release");
  }

  resetActor(address: string): Promise<ActorInfo> {
    return this.changeActor(address, "reset");
  }

  private async changeActor(address: string, kind: "release" | "reset"): Promise<ActorInfo> {
    const { address: actor, partition } = await this.getActor(address);
    await this.control(partition, { kind, actor });
    return this.getActor(address);
  }

  async getState(address: string, key: string): Promise<StateEntry> {
    const canonical = (await this.getActor(address)).address;
    const partition = this.partitionOf(canonical);
    const entry = await this.query<StateEntry | undefined>({
      kind: "state",
      partition,
      address: canonical,
      key,
    });
    if (entry !== undefined) return entry;
    throw new CaxtonError("STATE_NOT_FOUND", `${canonical} has no state under "${key}".`);
  }

  async listState(address: string, prefix: string, page: PageRequest): Promise<Page<StateEntry>> {
    const canonical = (await this.getActor(address)).address;
    const after = Buffer.from(page.pageToken ?? NO_PAGE_TOKEN, "base64url").toString("utf8");
    const items = await this.query<StateEntry[]>({
      kind: "states",
      partition: this.partitionOf(canonical),
      address: canonical,
      prefix,
      after,
      max: page.pageSize,
    });
    const last = items.at(-1);
    if (last === undefined || items.length < page.pageSize) return { items };
    return { items, nextPageToken: Buffer.from(last.key).toString("base64url") };
  }

  // --- Dead letters -------------------------------------------------------------------------------------

  async listDeadLetters(
    filter: { namespace?: string; agent?: string },
    page: PageRequest,
  ): Promise<Page<DeadLetter>> {
    const prefix = addressPrefix(filter);
    return this.pageOverPartitions(
      page,
      (partition, after, max) =>
        this.query({ kind: "dead-letters", partition, prefix, after: Number(after), max }),
      (letter) => letter.id.slice(letter.id.indexOf("-") + 1),
    );
  }

  retryDeadLetter(id: string): Promise<void> {
    return this.disposeDeadLetter(id, "dead-letter-retry");
  }

  dropDeadLetter(id: string): Promise<void> {
    return this.disposeDeadLetter(id, "dead-letter-drop");
  }

  private async disposeDeadLetter(
    id: string,
    kind: "dead-letter-retry" | "dead-letter-drop",
  ): Promise<void> {
    const match = /^(\d{1,5})-(\d{1,15})$/.exec(id);
    const partition = Number(match?.[1] ?? -1);
    const seq = Number(match?.[2]);
    const isPartition = partition >= 0 && partition < this.config.partitions.count;
    const letter =
      isPartition && (await this.query({ kind: "dead-letter", partition, seq })) !== undefined;
    if (!letter) throw new CaxtonError("DEAD_LETTER_NOT_FOUND", `No dead letter has the id ${id}.`);
    await this.control(partition, { kind, seq });
  }

  // --- The node -----------------------------------------------------------------------------------------

  async supervisorTree(options: { actorsMax: number }): Promise<SupervisorNode> {
    const { actorsMax } = options;
    const partitions = await Promise.all(
      this.partitionIds().map((partition) =>
        this.query<SupervisorNode>({ kind: "supervisor", partition, actorsMax }),
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
      status: this.failure === undefined ? "running" : "failed",
      strategy: "one_for_one",
      restarts: 0,
      children: workers,
      omitted: 0,
    };
  }

  async nodeStatus(): Promise<NodeStatus> {
    const partitions = await Promise.all(this.partitionIds().map((p) => this.partitionStatus(p)));
    const usage = this.storage.log.usage();
    const notReady: string[] = [];
    if (this.failure !== undefined) notReady.push(`${this.failure.code}: ${this.failure.message}`);
    if (this.stopping) notReady.push("the node is stopping");
    if (this.appender.isFull) notReady.push("STORAGE_FULL: storage.sizeBytesMax is reached");
    const waiting = partitions.filter((p) => !p.ready).map((p) => p.partition);
    if (waiting.length > 0) notReady.push(`partitions recovering: ${waiting.join(", ")}`);
    return {
      nodeId: this.config.node.id,
      version: VERSION,
      startedAtMs: this.startedAtMs,
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
        full: this.appender.isFull,
        cleanStart: this.storage.opening.clean,
      },
      limits: this.config.limits,
    };
  }

  private async partitionStatus(partition: number): Promise<PartitionStatus> {
    const worker = this.pool.workerOf(partition);
    const answer =
      this.failure === undefined && this.pool.isReady(partition) && !this.appender.isFull
        ? await this.query<PartitionFacts>({ kind: "status", partition }).catch(() => undefined)
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
    turns: 0,
    turnsFailed: 0,
    turnsReplayed: 0,
    recoveredPending: 0,
  };
}

/** Entries a partition lacks to agree with an agent's record. */
function missing(record: AgentRecord, agent: string, share: AgentShareInfo | undefined): Control[] {
  const controls: Control[] = [];
  const { environment, resetMemory, status, reason = "" } = record;
  if (share?.environment !== environment) {
    controls.push({ kind: "deploy", agent, environment, resetMemory });
  }
  const isSuspended = share?.suspended !== undefined;
  if (status === "suspended" && !isSuspended) controls.push({ kind: "suspend", agent, reason });
  if (status === "running" && isSuspended) controls.push({ kind: "resume", agent });
  return controls;
}

function fullName(record: AgentRecord): string {
  return `${record.namespace}/${record.name}`;
}

function addressPrefix(filter: { namespace?: string; agent?: string }): string {
  if (filter.agent !== undefined) return `${filter.namespace ?? "default"}/${filter.agent}/`;
  return filter.namespace === undefined ? "" : `${filter.namespace}/`;
}

function parsePageToken(token: string | undefined): [partition: number, after: string] {
  if (token === undefined || token === NO_PAGE_TOKEN) return [0, ""];
  const match = /^(\d{1,5}):(.*)$/s.exec(Buffer.from(token, "base64url").toString("utf8"));
  if (match === null) {
    throw new CaxtonError("INVALID_ARGUMENT", "The page token is not one this server gave out.");
  }
  return [Number(match[1]), match[2]!];
}
