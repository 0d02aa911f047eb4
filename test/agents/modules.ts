import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { compileAssemblyScript } from "../../src/actors/wasm/languages/assemblyscript.ts";

export const ROOT = join(import.meta.dirname, "../..");

/** Checksum and path of every source, kit and module that belong together. */
export function checksums(): [string, string][] {
  const lines = readFileSync(join(ROOT, "test/agents/SHA256SUMS"), "utf8").trim().split("\n");
  return lines.map((line) => line.split("  ") as [string, string]);
}

/** Paths of all modules that are committed. */
export function committedModules(): string[] {
  return checksums()
    .map(([, path]) => path)
    .filter((path) => path.endsWith(".wasm"));
}

/** Fixtures in TypeScript, which the server bundles: they have no module of their own. */
export const BUNDLED: readonly string[] = ["typescript", "probe-typescript"];

/** The committed module of test/agents/fixtures/<name>. */
export const fixture = (name: string): Buffer =>
  readFileSync(join(ROOT, "test/agents/fixtures", name, "agent.wasm"));

/** Compiles the AssemblyScript agent of a folder of the repository. */
export async function compileAgent(folder: string): Promise<Uint8Array> {
  const path = join(ROOT, folder);
  const sources = readdirSync(path).filter((name) => name.endsWith(".ts"));
  const files = sources.map((name) => [name, readFileSync(join(path, name), "utf8")] as const);
  const result = await compileAssemblyScript(new Map(files));
  if (result.kind === "failed") throw new Error(JSON.stringify(result.findings, null, 2));
  return result.wasm;
}
