/**
 * What is deployed: agents, their versions and environments, in the node's records; modules in its blobs.
 *
 * 1. An environment is immutable once written; turns in the log name it by its number.
 * 2. An agent's record changes by compare-and-set after everything it names is durable.
 */
import { createHash } from "node:crypto";
import { invariant } from "../base/assert.ts";
import { CaxtonError } from "../base/errors.ts";
import type { Storage } from "../storage/index.ts";
import { startOf } from "./environment.ts";
import type { Environment } from "./environment.ts";
import type { AgentStatus } from "./kernel.ts";
import type { AgentManifest } from "./manifest.ts";
import type { DeployedCode } from "./wasm/deploy/pipeline.ts";
import type { Door } from "./wasm/doors.ts";
import type { LoadedModule } from "./wasm/loaded-module.ts";
import { decodeDelta } from "./wasm/memory-delta.ts";

const AGENT_PREFIX = "agents/";
const ENVIRONMENT_PREFIX = "environments/";

export interface AgentRecord {
  readonly namespace: string;
  readonly name: string;
  readonly environment: number;
  /** Its deployment drops the memory of live actors, in every partition. */
  readonly resetMemory: boolean;
  readonly status: AgentStatus;
  readonly reason: string | undefined;
  readonly deployedAtMs: number;
  readonly language: string;
  readonly moduleBytes: number;
}

/** As stored: what the environment is, and what instances of its module need. */
interface EnvironmentRecord extends Environment {
  readonly exportsState: boolean;
  readonly importsState: boolean;
  readonly door: Door;
  readonly globals: readonly string[];
  readonly originalSha256: string;
  readonly sourceMapSha256: string | undefined;
}

interface Held<T> {
  readonly value: T;
  readonly revision: number;
}

export interface NewVersion {
  readonly manifest: AgentManifest;
  readonly original: Uint8Array;
  readonly code: DeployedCode;
  readonly nowMs: number;
}

export class AgentRegistry {
  private readonly storage: Storage;
  private readonly agents = new Map<string, Held<AgentRecord>>();
  private readonly environments = new Map<number, EnvironmentRecord>();
  private readonly compiled = new Map<string, WebAssembly.Module>();
  /** By what their instances start from, see startOf. */
  private readonly modules = new Map<string, LoadedModule>();

  constructor(storage: Storage) {
    this.storage = storage;
  }

  async load(): Promise<void> {
    for (const { value } of await this.storage.records.list(ENVIRONMENT_PREFIX)) {
      const record = parse(value) as EnvironmentRecord;
      this.environments.set(record.id, record);
    }
    for (const { key, value, revision } of await this.storage.records.list(AGENT_PREFIX)) {
      const name = key.slice(AGENT_PREFIX.length);
      this.agents.set(name, { value: parse(value) as AgentRecord, revision });
    }
    for (const record of this.environments.values()) await this.loadModule(record);
  }

  private async loadModule(record: EnvironmentRecord): Promise<void> {
    const { moduleSha256, templateSha256, sourceMapSha256, door, globals, replayOnly } = record;
    const start = startOf(record);
    if (this.modules.has(start)) return;
    const module = await this.compiledModule(moduleSha256);
    const template =
      templateSha256 === undefined
        ? undefined
        : decodeDelta(await this.blob(templateSha256), moduleSha256);
    const sourceMap =
      sourceMapSha256 === undefined
        ? undefined
        : Buffer.from(await this.blob(sourceMapSha256)).toString();
    this.modules.set(start, { module, door, globals, replayOnly, template, sourceMap });
  }

  /** Agents of one language may share a module and differ in what they start from. */
  private async compiledModule(sha256: string): Promise<WebAssembly.Module> {
    let module = this.compiled.get(sha256);
    if (module === undefined) {
      module = new WebAssembly.Module(await this.blob(sha256));
      this.compiled.set(sha256, module);
    }
    return module;
  }

  private async blob(sha256: string): Promise<Uint8Array> {
    const bytes = await this.storage.blobs.get(sha256);
    if (bytes === undefined) {
      throw new CaxtonError("STORAGE_CORRUPT", `The blob ${sha256} of an agent is missing.`);
    }
    return bytes;
  }

  all(): AgentRecord[] {
    return [...this.agents.values()].map(({ value }) => value);
  }

  find(namespace: string, name: string): AgentRecord | undefined {
    return this.agents.get(`${namespace}/${name}`)?.value;
  }

  get(namespace: string, name: string): AgentRecord {
    const record = this.find(namespace, name);
    if (record === undefined) {
      throw new CaxtonError("AGENT_NOT_FOUND", `No agent ${namespace}/${name} is deployed.`);
    }
    return record;
  }

  environment(id: number): Environment {
    const environment = this.environments.get(id);
    invariant(environment !== undefined, `environment ${String(id)} exists`);
    return environment;
  }

  allEnvironments(): Environment[] {
    return [...this.environments.values()];
  }

  allModules(): ReadonlyMap<string, LoadedModule> {
    return this.modules;
  }

  /** Blobs that environments name. */
  blobs(): string[] {
    return [...this.environments.values()].flatMap((e) => [
      e.moduleSha256,
      e.originalSha256,
      ...[e.templateSha256, e.sourceMapSha256].filter((sha256) => sha256 !== undefined),
    ]);
  }

  module(start: string): LoadedModule {
    const module = this.modules.get(start);
    invariant(module !== undefined, `module ${start} is loaded`);
    return module;
  }

  /** Whether instances of the environment start from this very code, so that it can take over their memory. */
  startsFrom(environment: number, { module, template }: DeployedCode): boolean {
    const sha256 = createHash("sha256")
      .update(template ?? module.bytes)
      .digest("hex");
    return startOf(this.environment(environment)) === sha256;
  }

  exportsState(environment: number): boolean {
    return this.environments.get(environment)?.exportsState === true;
  }

  /** Names of agents that keep no log. */
  ephemeral(): string[] {
    return this.all()
      .filter((a) => this.environment(a.environment).manifest.durability === "ephemeral")
      .map((a) => `${a.namespace}/${a.name}`);
  }

  /** Makes the version durable and gives it an environment; nothing runs it yet. */
  async addVersion(version: NewVersion): Promise<Environment> {
    const { manifest, original, code } = version;
    const { module, door, template, sourceMap, exportsState, importsState } = code;
    const { blobs } = this.storage;
    const originalSha256 = await blobs.put(original);
    const moduleSha256 = await blobs.put(module.bytes);
    const templateSha256 = template === undefined ? undefined : await blobs.put(template);
    const sourceMapSha256 =
      sourceMap === undefined ? undefined : await blobs.put(Buffer.from(sourceMap));
    const id = Math.max(0, ...this.environments.keys()) + 1;
    const record: EnvironmentRecord = {
      id,
      agent: `${manifest.namespace}/${manifest.name}`,
      version: versionOf(original, manifest),
      moduleSha256,
      templateSha256,
      originalSha256,
      sourceMapSha256,
      door,
      exportsState,
      importsState,
      manifest,
      replayOnly: module.info.replayOnly,
      carriesTrace: true,
      globals: module.info.mutableGlobals.map((global) => global.exportName),
    };
    const key = ENVIRONMENT_PREFIX + String(id).padStart(10, "0");
    const written = await this.storage.records.put(key, serialize(record), 0);
    if (written.kind === "conflict") throw conflict(record.agent);
    this.environments.set(id, record);
    await this.loadModule(record);
    return record;
  }

  /** Writes an agent's record on top of the one known. */
  async put(record: AgentRecord): Promise<void> {
    const name = `${record.namespace}/${record.name}`;
    const revision = this.agents.get(name)?.revision ?? 0;
    const key = AGENT_PREFIX + name;
    const written = await this.storage.records.put(key, serialize(record), revision);
    if (written.kind === "conflict") throw conflict(name);
    this.agents.set(name, { value: record, revision: written.revision });
  }

  async remove(namespace: string, name: string): Promise<void> {
    const full = `${namespace}/${name}`;
    await this.storage.records.delete(AGENT_PREFIX + full, null);
    this.agents.delete(full);
  }
}

/** SHA-256 of module and manifest. */
export function versionOf(original: Uint8Array, manifest: AgentManifest): string {
  return createHash("sha256").update(original).update(JSON.stringify(manifest)).digest("hex");
}

function conflict(name: string): CaxtonError {
  return new CaxtonError("AGENT_CONFLICT", `${name} was changed by somebody else meanwhile.`);
}

function serialize(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function parse(bytes: Uint8Array): unknown {
  return JSON.parse(Buffer.from(bytes).toString("utf8")) as unknown;
}
