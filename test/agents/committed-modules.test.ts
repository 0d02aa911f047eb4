/** Modules that are committed belong to the sources beside them. */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { deployPipeline } from "../../src/actors/wasm/deploy/pipeline.ts";
import { BUNDLED, ROOT, checksums, committedModules } from "./modules.ts";

const sums = checksums();
const modules = committedModules();

const scratch = mkdtempSync(join(tmpdir(), "caxton-agents-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test("every source, kit and module is the one the others were built with", () => {
  const changed = sums.filter(([sum, path]) => {
    return (
      createHash("sha256")
        .update(readFileSync(join(ROOT, path)))
        .digest("hex") !== sum
    );
  });
  // After a change of a source or kit: node scripts/build-agents.ts
  expect(changed).toEqual([]);
});

test("no agent is left out", () => {
  const folders = readdirSync(join(ROOT, "test/agents/fixtures")).filter(
    (name) => !BUNDLED.includes(name),
  );
  expect(
    folders.map((name) => `test/agents/fixtures/${name}/agent.wasm`).filter(isLeftOut),
  ).toEqual([]);
});

const isLeftOut = (path: string): boolean => !modules.includes(path);

const limits = {
  memoryPagesMax: 256,
  tableElementsMax: 10_000,
  callDepthMax: 1000,
  fuelPerMessage: 100_000_000,
  turnTimeoutMs: 1000,
};

test.each(modules)("%s can be deployed", async (path) => {
  const bytes = readFileSync(join(ROOT, path));
  const outcome = await deployPipeline(bytes, limits, { moduleBytesMax: 4 * 1024 * 1024 });
  expect(outcome.stages.flatMap((stage) => stage.findings)).toEqual([]);
  expect(outcome.passed).toBe(true);
});

const RUSTC = process.env["RUSTC"] ?? "rustc";

/** Tools that give the committed bytes; another version may give others. */
const C_TOOLS = [
  ["clang-14", "14.0.6"],
  ["wasm-ld-14", ""],
] as const;
const BUILDS = [
  { source: "agent.c", script: "sdk/c/build.sh", tools: C_TOOLS },
  { source: "agent.go", script: "sdk/go/build.sh", tools: [["go", "go1.26.8"]] as const },
  { source: "agent.rs", script: "sdk/rust/build.sh", tools: [[RUSTC, "1.63.0"]] as const },
  {
    source: "component.c",
    script: "sdk/wit/build.sh",
    tools: [...C_TOOLS, ["wit-bindgen", "0.63.0"], ["jco", "1.16.1"]] as const,
  },
];

describe.each(BUILDS)("built from $source by $script", ({ source, script, tools }) => {
  const missing = tools.filter(([tool, version]) => {
    const told = spawnSync(tool, [tool === "go" ? "version" : "--version"], { encoding: "utf8" });
    return told.status !== 0 || !told.stdout.includes(version) || !hasWasmLibrary(tool);
  });
  if (missing.length > 0) {
    const names = missing.map((tool) => tool.join(" ").trim()).join(", ");
    console.warn(`Modules from ${source} are not rebuilt: there is no ${names} here`);
  }
  const sourceOf = (module: string): string => join(dirname(module), source);
  const built = modules.filter((module) => sums.some(([, path]) => path === sourceOf(module)));

  test.skipIf(missing.length > 0).each(built)("%s is what its source gives", (module) => {
    const again = join(scratch, module.replaceAll("/", "-"));
    execFileSync("sh", [join(ROOT, script), join(ROOT, sourceOf(module)), again]);
    expect(readFileSync(again).equals(readFileSync(join(ROOT, module)))).toBe(true);
  });
});

/** rustc often comes without the standard library for WebAssembly. */
function hasWasmLibrary(tool: string): boolean {
  if (tool !== RUSTC) return true;
  const place = ["--target", "wasm32-unknown-unknown", "--print", "target-libdir"];
  const told = spawnSync(tool, place, { encoding: "utf8" });
  return told.status === 0 && existsSync(told.stdout.trim());
}
