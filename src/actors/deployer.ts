/** From an upload to an agent that every partition knows. One deployment at a time. */
import { CaxtonError } from "../base/errors.ts";
import type { NodeLimits } from "../base/config-schema.ts";
import { formatAddress } from "./address.ts";
import type { AgentRecord, AgentRegistry } from "./agent-registry.ts";
import { versionOf } from "./agent-registry.ts";
import { startOf } from "./environment.ts";
import type { Environment } from "./environment.ts";
import type { DeployRequest, DeploySource, DeployStage } from "./kernel.ts";
import { compileManifest, groupPartitionFindings } from "./manifest.ts";
import type { AgentManifest } from "./manifest.ts";
import type { PartitionAccess } from "./partition-access.ts";
import type { AgentShareInfo } from "./queries.ts";
import { deployPipeline } from "./wasm/deploy/pipeline.ts";
import type { DeployedCode } from "./wasm/deploy/pipeline.ts";
import { compileAssemblyScript } from "./wasm/languages/assemblyscript.ts";
import type { LoadedModule } from "./wasm/loaded-module.ts";

export interface DeployerPorts {
  readonly registry: AgentRegistry;
  readonly limits: NodeLimits;
  readonly partitions: PartitionAccess;
  nowMs(): number;
  faultPoint(name: string): void;
  /** Tells every worker what it needs before a partition may name it. */
  announce(environment: Environment, module: LoadedModule): void;
}

export interface Deployed {
  readonly record: AgentRecord;
  readonly changed: boolean;
  readonly stages: readonly DeployStage[];
}

export class Deployer {
  private readonly ports: DeployerPorts;
  private queue: Promise<unknown> = Promise.resolve();

  constructor(ports: DeployerPorts) {
    this.ports = ports;
  }

  deploy(request: DeployRequest): Promise<Deployed> {
    return this.alone(() => this.run(request));
  }

  /** Changes of agents exclude one another; none begins that can't become durable. */
  alone<T>(change: () => Promise<T>): Promise<T> {
    const result = this.queue.then(() => {
      const { refusal } = this.ports.partitions;
      if (refusal !== undefined) throw refusal;
      return change();
    });
    this.queue = result.catch(() => undefined);
    return result;
  }

  private async run(request: DeployRequest): Promise<Deployed> {
    const { registry, limits, partitions } = this.ports;
    const manifest = compileManifest(request.manifest, limits);
    const findings = groupPartitionFindings(manifest, (key) => {
      const { namespace, name } = manifest;
      return partitions.of(formatAddress({ namespace, agent: name, key }));
    });
    if (findings.length > 0) throw new CaxtonError("INVALID_MANIFEST", undefined, { findings });
    const original = await moduleOf(request.source);
    const before = registry.find(manifest.namespace, manifest.name);
    const same = before !== undefined && registry.environment(before.environment);
    if (same && same.version === versionOf(original, manifest)) {
      return { record: before, changed: false, stages: [] };
    }
    const outcome = await deployPipeline(original, manifest.limits, limits);
    if (!outcome.passed) throw outcome.refusal;
    const { code } = outcome;
    await this.checkMemory(manifest, code, before, request.resetMemory);
    const language = request.source.kind === "source" ? request.source.language : "wasm";
    const version = { manifest, original, code };
    const environment = await registry.addVersion({ ...version, nowMs: this.ports.nowMs() });
    this.ports.faultPoint("deploy.after-version");
    const record: AgentRecord = {
      namespace: manifest.namespace,
      name: manifest.name,
      environment: environment.id,
      resetMemory: request.resetMemory,
      status: before?.status ?? "running",
      reason: before?.reason,
      deployedAtMs: this.ports.nowMs(),
      language,
      moduleBytes: original.length,
    };
    await registry.put(record);
    this.ports.faultPoint("deploy.after-record");
    this.ports.announce(environment, registry.module(startOf(environment)));
    await partitions.controlAll({
      kind: "deploy",
      agent: environment.agent,
      environment: environment.id,
      resetMemory: request.resetMemory,
    });
    return { record, changed: true, stages: outcome.stages };
  }

  /** Other code can't take over the memory of live actors: that is refused, not lost by accident. */
  private async checkMemory(
    manifest: AgentManifest,
    code: DeployedCode,
    before: AgentRecord | undefined,
    resetMemory: boolean,
  ): Promise<void> {
    if (before === undefined || resetMemory) return;
    const { registry } = this.ports;
    const agent = `${manifest.namespace}/${manifest.name}`;
    let count = 0;
    for (const [environment, actors] of await this.memoriesOf(agent)) {
      const goesOver = code.importsState && registry.exportsState(environment);
      if (!goesOver && !registry.startsFrom(environment, code)) count += actors;
    }
    if (count === 0) return;
    throw new CaxtonError(
      "MEMORY_STATE_WOULD_BE_LOST",
      `${String(count)} actors of ${manifest.namespace}/${manifest.name} keep state in memory that the new code can't take over.`,
    );
  }

  /** Environments that memory belongs to, each with a number of actors. */
  private async memoriesOf(agent: string): Promise<AgentShareInfo["memories"]> {
    const shares = (await this.ports.partitions.queryAll<AgentShareInfo[]>("agents")).flat();
    return shares.filter((share) => share.name === agent).flatMap(({ memories }) => memories);
  }
}

async function moduleOf(source: DeploySource): Promise<Uint8Array> {
  if (source.kind === "module") return source.bytes;
  const compiled = await compileAssemblyScript(source.files);
  if (compiled.kind === "compiled") return compiled.wasm;
  throw new CaxtonError("COMPILE_FAILED", undefined, { findings: compiled.findings });
}
