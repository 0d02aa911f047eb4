/**
 * What stands between an uploaded module and a deployed agent: four stages, each with all its findings.
 * Nothing is registered here; a module that passes comes back rewritten.
 */
import { createHash } from "node:crypto";
import { systemClock, type Clock } from "../../../base/clock.ts";
import { CaxtonError, type ErrorCode, type Finding } from "../../../base/errors.ts";
import type { DeployStage, DeployStageName } from "../../kernel.ts";
import type { AgentLimits } from "../../manifest.ts";
import { OPTIONAL_EXPORTS } from "../abi-exports.ts";
import { OPTIONAL_FUNCTIONS } from "../component/world.ts";
import type { Door } from "../doors.ts";
import { encodeDelta } from "../memory-delta.ts";
import { mapTrace } from "../quickjs/stack-trace.ts";
import type { ModuleInfo } from "../rewrite/module-info.ts";
import type { RewrittenModule } from "../rewrite/rewriter.ts";
import { runSandbox } from "./sandbox.ts";
import { SANDBOX_ALLOC_BYTES, type SandboxObservation } from "./sandbox-protocol.ts";
import { runStaticStage } from "./static-stage.ts";

export type DeployAgentLimits = Pick<
  AgentLimits,
  "memoryPagesMax" | "tableElementsMax" | "callDepthMax" | "fuelPerMessage" | "turnTimeoutMs"
>;

export interface DeployNodeLimits {
  readonly moduleBytesMax: number;
}

/** A module that may run, and how. */
export interface DeployedCode {
  readonly module: RewrittenModule;
  readonly door: Door;
  /** The blob its instances start from; undefined where each runs its initialisation. */
  readonly template: Uint8Array | undefined;
  /** It can give its state to another version, and take one's. */
  readonly exportsState: boolean;
  readonly importsState: boolean;
  /** From places in the program to its author's files. */
  readonly sourceMap: string | undefined;
}

/** An agent in a language whose interpreter is the module. */
export interface AgentProgram {
  readonly door: Door;
  readonly text: Uint8Array;
  readonly sourceMap: string;
  /** What its entry file exports. */
  readonly exports: readonly string[];
}

export type DeployOutcome =
  | {
      readonly passed: true;
      readonly stages: readonly DeployStage[];
      readonly code: DeployedCode;
    }
  | {
      readonly passed: false;
      /** The last one is the one that failed. */
      readonly stages: readonly DeployStage[];
      /** To be thrown at whoever deploys; holds the findings. */
      readonly refusal: CaxtonError;
    };

const PAGE_BYTES = 65_536;

/** Names of the hooks for a change of version, of all kinds of agents. */
const EXPORTING = ["caxton_export_state", "export-state", "exportState"];
const IMPORTING = ["caxton_import_state", "import-state", "importState"];

/** `program`: what the module is to run when it is not the agent itself but its language's. */
export async function deployPipeline(
  bytes: Uint8Array,
  agent: DeployAgentLimits,
  node: DeployNodeLimits,
  program?: AgentProgram,
  clock: Clock = systemClock,
): Promise<DeployOutcome> {
  const stages: DeployStage[] = [];
  let sinceMs = clock.monotonicMs();
  const finish = (
    stage: DeployStageName,
    findings: readonly Finding[],
    facts: Readonly<Record<string, string>>,
  ): boolean => {
    const nowMs = clock.monotonicMs();
    const passed = findings.length === 0;
    stages.push({ stage, passed, durationMs: nowMs - sinceMs, findings, facts });
    sinceMs = nowMs;
    return passed;
  };

  const { findings, module, door } = runStaticStage(bytes, { ...agent, ...node }, program?.door);
  finish("static", findings, staticFacts(bytes, module));
  if (module === undefined) {
    const code = bytes.length > node.moduleBytesMax ? "MODULE_TOO_LARGE" : "INVALID_MODULE";
    return refuse(stages, code, findings);
  }
  const seen = await runSandbox({
    bytes: module.bytes,
    door,
    program: program?.text,
    globals: module.info.mutableGlobals.map(({ exportName }) => exportName),
    fuel: agent.fuelPerMessage,
    timeoutMs: agent.turnTimeoutMs,
    callDepthMax: agent.callDepthMax,
  });
  const sandbox = sandboxFindings(seen, program?.sourceMap);
  if (!finish("sandbox", sandbox, sandboxFacts(seen))) {
    return refuse(stages, "INVALID_MODULE", sandbox);
  }
  const contract = contractFindings(seen);
  if (!finish("contract", contract, contractFacts(module.info, door))) {
    return refuse(stages, "INVALID_MODULE", contract);
  }
  finish("resources", [], resourceFacts(module.info, seen));
  const exported = program?.exports ?? module.info.exports.map(({ name }) => name);
  return {
    passed: true,
    stages,
    code: {
      module,
      door,
      template: templateOf(module, seen),
      sourceMap: program?.sourceMap,
      exportsState: EXPORTING.some((name) => exported.includes(name)),
      importsState: IMPORTING.some((name) => exported.includes(name)),
    },
  };
}

function templateOf(
  { info, bytes }: RewrittenModule,
  { template }: SandboxObservation,
): Uint8Array | undefined {
  if (info.replayOnly || template === undefined) return undefined;
  return encodeDelta(template, createHash("sha256").update(bytes).digest("hex"));
}

function refuse(
  stages: readonly DeployStage[],
  code: ErrorCode,
  findings: readonly Finding[],
): DeployOutcome {
  return { passed: false, stages, refusal: new CaxtonError(code, undefined, { findings }) };
}

function staticFacts(
  bytes: Uint8Array,
  module: RewrittenModule | undefined,
): Readonly<Record<string, string>> {
  const moduleBytes = String(bytes.length);
  if (module === undefined) return { moduleBytes };
  return {
    moduleBytes,
    rewrittenBytes: String(module.bytes.length),
    imports: module.info.imports.map(({ module: from, name }) => `${from}.${name}`).join(", "),
    exports: module.info.exports.map(({ name }) => name).join(", "),
  };
}

const STEP_TEXTS = {
  thread: "The sandbox gave no answer",
  compile: "The module can't be compiled",
  instantiate: "The module can't be instantiated",
  initialize: "The module's initialisation failed",
  program: "The program's top level failed",
  alloc: "caxton_alloc failed",
  health: "The health check failed",
} as const;

function sandboxFindings(
  { failure }: SandboxObservation,
  sourceMap: string | undefined,
): Finding[] {
  if (failure === undefined) return [];
  const { step, reason, hint } = failure;
  const text = sourceMap === undefined ? `${reason}.` : mapTrace(reason, sourceMap);
  return [{ at: step, message: `${STEP_TEXTS[step]}: ${text}`, hint }];
}

function sandboxFacts({ fuelInitialize }: SandboxObservation): Readonly<Record<string, string>> {
  return fuelInitialize === undefined ? {} : { fuelInitialize: String(fuelInitialize) };
}

function contractFindings(seen: SandboxObservation): Finding[] {
  const { allocated, health, complaint, memoryBytes } = seen;
  const findings: Finding[] = [];
  if (allocated !== undefined && allocated + SANDBOX_ALLOC_BYTES > (memoryBytes ?? 0)) {
    findings.push({
      at: "export caxton_alloc",
      message: `caxton_alloc(${SANDBOX_ALLOC_BYTES}) gave address ${allocated}, which lies outside the ${memoryBytes ?? 0} bytes of memory.`,
      hint: "Return the address of a buffer inside memory that is at least as long as asked for.",
    });
  }
  if (health !== undefined && health !== 0) {
    findings.push({
      at: "export caxton_health",
      message: `caxton_health answers ${health} before the first message; 0 is healthy.`,
      hint: "Answer 0 unless the agent really can't work.",
    });
  }
  if (complaint !== undefined) {
    findings.push({
      at: "export health",
      message: `The agent says that it is not healthy: ${complaint}`,
      hint: "Complain only when the agent really can't work.",
    });
  }
  return findings;
}

function contractFacts({ exports }: ModuleInfo, door: Door): Readonly<Record<string, string>> {
  const names = exports.map(({ name }) => name);
  const known = door === "component" ? OPTIONAL_FUNCTIONS : OPTIONAL_EXPORTS;
  const optional = Object.keys(known).filter((name) => names.includes(name));
  return { optionalExports: optional.join(", ") };
}

function resourceFacts(
  info: ModuleInfo,
  { memoryBytes, fuelInitialize, template }: SandboxObservation,
): Readonly<Record<string, string>> {
  return {
    memoryPages: String((memoryBytes ?? 0) / PAGE_BYTES),
    memoryPagesMax: String(info.memory?.pagesMax ?? 0),
    tableElements: String(info.tables.reduce((sum, table) => sum + table.min, 0)),
    functions: String(info.functions),
    loops: String(info.loops),
    mutableGlobals: String(info.mutableGlobals.length),
    fuelInitialize: String(fuelInitialize ?? 0),
    snapshots: info.replayOnly
      ? `replay only: ${info.replayOnlyReasons.join(", ")}`
      : `memory image, ${template?.content.length ?? 0} bytes from the start`,
  };
}
