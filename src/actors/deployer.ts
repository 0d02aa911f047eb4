/** From an upload to an agent that every partition knows. One deployment at a time. */
import { CaxtonError } from "../base/errors.ts";
import type { Finding } from "../base/errors.ts";
import type { NodeLimits } from "../base/config-schema.ts";
import { formatAddress } from "./address.ts";
import type { AgentRecord, AgentRegistry } from "./agent-registry.ts";
import { versionOf } from "./agent-registry.ts";
import { startOf } from "./environment.ts";
import type { Environment } from "./environment.ts";
import type { DeployRequest, DeploySource, DeployStage } from "./kernel.ts";
import { groupPartitionFindings } from "./group-partitions.ts";
import { SCRIPT_CALL_DEPTH_MAX, compileManifest } from "./manifest.ts";
import type { AgentManifest } from "./manifest.ts";
import type { PartitionAccess } from "./partition-access.ts";
import type { AgentShareInfo } from "./queries.ts";
import { deployPipeline } from "./wasm/deploy/pipeline.ts";
import type { AgentProgram, DeployedCode } from "./wasm/deploy/pipeline.ts";
import { compileAssemblyScript } from "./wasm/languages/assemblyscript.ts";
import { bundleTypeScript, readQuickJs } from "./wasm/languages/typescript.ts";
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
    const { source } = request;
    const isScript = source.kind === "source" && source.language === "typescript";
    const callDepthMax = isScript ? SCRIPT_CALL_DEPTH_MAX : undefined;
    const manifest = compileManifest(request.manifest, limits, callDepthMax);
    const findings = groupPartitionFindings(manifest, (key) => {
      const { namespace, name } = manifest;
      return partitions.of(formatAddress({ namespace, agent: name, key }));
    });
    if (findings.length > 0) throw new CaxtonError("INVALID_MANIFEST", undefined, { findings });
    const { original, module, program } = await codeOf(source, limits);
    const before = registry.find(manifest.namespace, manifest.name);
    const same = before !== undefined && registry.environment(before.environment);
    if (same && same.version === versionOf(original, manifest)) {
      return { record: before, changed: false, stages: [] };
    }
    const outcome = await deployPipeline(module, manifest.limits, limits, program);
    if (!outcome.passed) throw outcome.refusal;
    const { code } = outcome;
    await this.checkMemory(manifest, code, before, request.resetMemory);
    const language = source.kind === "source" ? source.language : "wasm";
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

/** What was uploaded, as modules. */
interface UploadedCode {
  /** What the agent's version is of. */
  readonly original: Uint8Array;
  readonly module: Uint8Array;
  readonly program: AgentProgram | undefined;
}

async function codeOf(source: DeploySource, limits: NodeLimits): Promise<UploadedCode> {
  if (source.kind === "module") {
    return { original: source.bytes, module: source.bytes, program: undefined };
  }
  switch (source.language) {
    case "assemblyscript": {
      const compiled = await compileAssemblyScript(source.files);
      if (compiled.kind === "failed") throw compileFailed(compiled.findings);
      return { original: compiled.wasm, module: compiled.wasm, program: undefined };
    }
    case "typescript": {
      const bundled = await bundleTypeScript(source.files, limits.bundleBytesMax);
      if (bundled.kind === "failed") throw compileFailed(bundled.findings);
      const { program: text, sourceMap, exports } = bundled;
      const program = { door: "quickjs", text, sourceMap, exports } as const;
      return { original: text, module: readQuickJs(), program };
    }
  }
}

function compileFailed(findings: readonly Finding[]): CaxtonError {
  return new CaxtonError("COMPILE_FAILED", undefined, { findings });
}
