/** The agents that the conformance suite and the replay property talk to, deployed as a node deploys them. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { deployPipeline } from "../../src/actors/wasm/deploy/pipeline.ts";
import type { LoadedModule } from "../../src/actors/wasm/loaded-module.ts";
import { decodeDelta } from "../../src/actors/wasm/memory-delta.ts";
import { ROOT } from "./modules.ts";

export const PROBES = ["probe", "probe-c", "probe-component"] as const;

const LIMITS = {
  memoryPagesMax: 256,
  tableElementsMax: 10_000,
  callDepthMax: 1000,
  fuelPerMessage: 100_000_000,
  turnTimeoutMs: 1000,
};

/** The committed module of that path, from the root of the repository. */
export async function deployCommitted(path: string): Promise<LoadedModule> {
  const bytes = readFileSync(join(ROOT, path));
  const outcome = await deployPipeline(bytes, LIMITS, { moduleBytesMax: 4 * 1024 * 1024 });
  if (!outcome.passed) throw outcome.refusal;
  const { module, door, template } = outcome.code;
  const sha256 = createHash("sha256").update(module.bytes).digest("hex");
  return {
    module: new WebAssembly.Module(Uint8Array.from(module.bytes)),
    door,
    globals: module.info.mutableGlobals.map(({ exportName }) => exportName),
    replayOnly: module.info.replayOnly,
    template: template && decodeDelta(template, sha256),
  };
}
