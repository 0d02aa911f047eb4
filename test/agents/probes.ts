/** The agents that the conformance suite and the replay property talk to, deployed as a node deploys them. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SCRIPT_CALL_DEPTH_MAX } from "../../src/actors/manifest.ts";
import { deployPipeline, type DeployOutcome } from "../../src/actors/wasm/deploy/pipeline.ts";
import { bundleTypeScript, readQuickJs } from "../../src/actors/wasm/languages/typescript.ts";
import type { LoadedModule } from "../../src/actors/wasm/loaded-module.ts";
import { decodeDelta } from "../../src/actors/wasm/memory-delta.ts";
import { BUNDLED, ROOT, committedModules } from "./modules.ts";

const NODE = { moduleBytesMax: 4 * 1024 * 1024 };

export const PROBES = [
  "probe",
  "probe-c",
  "probe-component",
  "probe-go",
  "probe-rust",
  "probe-typescript",
] as const;

const LIMITS = {
  memoryPagesMax: 256,
  tableElementsMax: 10_000,
  callDepthMax: 1000,
  fuelPerMessage: 100_000_000,
  turnTimeoutMs: 5000,
};

/** Every committed module, and an agent in TypeScript: its name and how it is deployed. */
export function replayedAgents(): [string, () => Promise<LoadedModule>][] {
  const script = "test/agents/fixtures/probe-typescript";
  return [
    ...committedModules().map((path): [string, () => Promise<LoadedModule>] => {
      return [path, () => deployCommitted(path)];
    }),
    [script, () => deployTypeScript(script)],
  ];
}

export function deployProbe(name: string): Promise<LoadedModule> {
  const folder = `test/agents/fixtures/${name}`;
  return BUNDLED.includes(name)
    ? deployTypeScript(folder)
    : deployCommitted(`${folder}/agent.wasm`);
}

/** The committed module of that path, from the root of the repository. */
export async function deployCommitted(path: string): Promise<LoadedModule> {
  return loaded(await deployPipeline(readFileSync(join(ROOT, path)), LIMITS, NODE));
}

/** The agent whose one file is `index.ts` of the folder. */
async function deployTypeScript(folder: string): Promise<LoadedModule> {
  const text = readFileSync(join(ROOT, folder, "index.ts"), "utf8");
  const bundled = await bundleTypeScript(new Map([["index.ts", text]]), NODE.moduleBytesMax);
  if (bundled.kind === "failed") throw new Error(JSON.stringify(bundled.findings));
  const { program, sourceMap, exports } = bundled;
  const limits = { ...LIMITS, callDepthMax: SCRIPT_CALL_DEPTH_MAX };
  const agent = { door: "quickjs", text: program, sourceMap, exports } as const;
  return loaded(await deployPipeline(readQuickJs(), limits, NODE, agent));
}

function loaded(outcome: DeployOutcome): LoadedModule {
  if (!outcome.passed) throw outcome.refusal;
  const { module, door, template, sourceMap } = outcome.code;
  const sha256 = createHash("sha256").update(module.bytes).digest("hex");
  return {
    module: new WebAssembly.Module(Uint8Array.from(module.bytes)),
    door,
    globals: module.info.mutableGlobals.map(({ exportName }) => exportName),
    replayOnly: module.info.replayOnly,
    template: template && decodeDelta(template, sha256),
    sourceMap,
  };
}
