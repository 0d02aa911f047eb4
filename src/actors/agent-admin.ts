/** Agents as operators see them: deploy, list, suspend, resume, delete. */
import type { Logger } from "../base/log.ts";
import type { AgentRecord, AgentRegistry } from "./agent-registry.ts";
import type { Deployer } from "./deployer.ts";
import type { AgentInfo, AgentOperations, DeployRequest, DeployResult } from "./kernel.ts";
import type { PartitionAccess } from "./partition-access.ts";
import type { Control } from "./partition/control.ts";
import type { AgentShareInfo } from "./queries.ts";
import type { AgentTopics } from "./topics.ts";
import { turnCosts } from "./turn-figures.ts";

export class AgentAdmin implements AgentOperations {
  private readonly registry: AgentRegistry;
  private readonly deployer: Deployer;
  private readonly partitions: PartitionAccess;
  private readonly log: Logger;
  private readonly ephemeralChanged: () => void;

  constructor(
    registry: AgentRegistry,
    deployer: Deployer,
    partitions: PartitionAccess,
    log: Logger,
    ephemeralChanged: () => void,
  ) {
    this.registry = registry;
    this.deployer = deployer;
    this.partitions = partitions;
    this.log = log;
    this.ephemeralChanged = ephemeralChanged;
  }

  /** A crash may have hit between an agent's record and its entry in every partition. */
  async reconcile(): Promise<void> {
    const partitions = await this.partitions.queryAll<AgentShareInfo[]>("agents");
    const pending: Promise<void>[] = [];
    partitions.forEach((shares, partition) => {
      const known = new Map(shares.map((share) => [share.name, share]));
      for (const record of this.registry.all()) {
        const agent = `${record.namespace}/${record.name}`;
        const share = known.get(agent);
        known.delete(agent);
        for (const control of missing(record, agent, share)) {
          pending.push(this.partitions.control(partition, control));
        }
      }
      for (const agent of known.keys()) {
        pending.push(this.partitions.control(partition, { kind: "remove", agent }));
      }
    });
    await Promise.all(pending);
  }

  async deploy(request: DeployRequest): Promise<DeployResult> {
    const { record, changed, stages } = await this.deployer.deploy(request);
    return { agent: await this.agentInfo(record), changed, stages };
  }

  async list(namespace: string | undefined): Promise<AgentInfo[]> {
    const records = this.registry
      .all()
      .filter((record) => namespace === undefined || record.namespace === namespace)
      .sort((a, b) => (fullName(a) < fullName(b) ? -1 : 1));
    const shares = (await this.partitions.queryAll<AgentShareInfo[]>("agents")).flat();
    return records.map((record) => this.describe(record, shares));
  }

  async get(namespace: string, name: string): Promise<AgentInfo> {
    return this.agentInfo(this.registry.get(namespace, name));
  }

  private async agentInfo(record: AgentRecord): Promise<AgentInfo> {
    return this.describe(
      record,
      (await this.partitions.queryAll<AgentShareInfo[]>("agents")).flat(),
    );
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
      memoryBytes: sum((share) => share.memoryBytes),
      turnCosts: turnCosts(own.flatMap(({ turnFigures }) => turnFigures ?? [])),
    };
  }

  delete(namespace: string, name: string): Promise<void> {
    return this.deployer.alone(async () => {
      const agent = fullName(this.registry.get(namespace, name));
      await this.registry.remove(namespace, name);
      await this.partitions.controlAll({ kind: "remove", agent });
      this.ephemeralChanged();
    });
  }

  suspend(namespace: string, name: string, reason: string): Promise<AgentInfo> {
    return this.changeStatus(namespace, name, "suspended", reason);
  }

  resume(namespace: string, name: string): Promise<AgentInfo> {
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
      await this.partitions.controlAll(
        status === "running"
          ? { kind: "resume", agent }
          : { kind: "suspend", agent, reason: reason ?? "" },
      );
      return this.agentInfo(record);
    });
  }

  topics(): AgentTopics[] {
    return this.registry.all().flatMap((record) => {
      const { manifest } = this.registry.environment(record.environment);
      const { subscribe = [], publish = [] } = manifest;
      if (subscribe.length + publish.length === 0) return [];
      return [{ agent: fullName(record), subscribe, publish }];
    });
  }

  /** An agent failed too often in a partition. */
  async escalate(agent: string, reason: string): Promise<void> {
    this.log.error({ agent, reason }, "agent suspended: it failed too often");
    const [namespace = "", name = ""] = agent.split("/");
    if (this.registry.find(namespace, name)?.status !== "running") return;
    await this.suspend(namespace, name, reason).catch((error: unknown) => {
      this.log.error({ err: error, agent }, "could not suspend the agent everywhere");
    });
  }
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
