/**
 * Builds the modules of agents that are committed, each beside its source as agent.wasm, and writes
 * test/agents/SHA256SUMS over sources, kits and modules.
 * Usage: node scripts/build-agents.ts [folder]...   (all when none is given)
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BUNDLED } from "../test/agents/modules.ts";
import { compileAssemblyScript } from "../src/actors/wasm/languages/assemblyscript.ts";

const ROOT = join(import.meta.dirname, "..");
const FIXTURES = "test/agents/fixtures";
const SUMS_FILE = "test/agents/SHA256SUMS";
const KITS = ["sdk/assemblyscript/caxton", "sdk/c", "sdk/go", "sdk/rust", "sdk/wit"];
/** The script that builds a source of this name. */
const BUILD_SCRIPTS: readonly (readonly [string, string])[] = [
  ["agent.c", "sdk/c/build.sh"],
  ["agent.go", "sdk/go/build.sh"],
  ["agent.rs", "sdk/rust/build.sh"],
  ["component.c", "sdk/wit/build.sh"],
];

const agentFolders = [
  // The server bundles TypeScript: that fixture has no module of its own.
  ...readdirSync(join(ROOT, FIXTURES))
    .filter((name) => !BUNDLED.includes(name))
    .map((name) => `${FIXTURES}/${name}`),
  "examples/wordcount/counter/assembly",
  "bench/agents/forward-c",
  "bench/agents/counter/assembly",
];

async function build(folder: string): Promise<void> {
  const path = join(ROOT, folder);
  const module = join(path, "agent.wasm");
  const script = BUILD_SCRIPTS.find(([source]) => existsSync(join(path, source)));
  if (script !== undefined) {
    execFileSync("sh", [join(ROOT, script[1]), join(path, script[0]), module]);
  } else if (existsSync(join(path, "agent.wat"))) {
    execFileSync("wasm-as", ["--enable-reference-types", join(path, "agent.wat"), "-o", module]);
  } else {
    const source = readFileSync(join(path, "index.ts"), "utf8");
    const result = await compileAssemblyScript(new Map([["index.ts", source]]));
    if (result.kind === "failed") {
      throw new Error(`${folder}: ${JSON.stringify(result.findings, null, 2)}`);
    }
    writeFileSync(module, result.wasm);
  }
  console.log(`built ${folder}/agent.wasm`);
}

function writeSums(): void {
  const lines = [...KITS, ...agentFolders].flatMap((folder) =>
    readdirSync(join(ROOT, folder))
      .sort()
      .map((name) => {
        const content = readFileSync(join(ROOT, folder, name));
        return `${createHash("sha256").update(content).digest("hex")}  ${folder}/${name}\n`;
      }),
  );
  writeFileSync(join(ROOT, SUMS_FILE), lines.join(""));
}

const chosen = process.argv.slice(2);
for (const folder of chosen.length > 0 ? chosen : agentFolders) await build(folder);
writeSums();
