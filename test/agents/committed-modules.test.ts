/** Modules that are committed belong to the sources beside them. */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { deployPipeline } from "../../src/actors/wasm/deploy/pipeline.ts";
import { ROOT, checksums, committedModules } from "./modules.ts";

/** What built the committed C modules; another version may give other bytes. */
const CLANG_VERSION = "14.0.6";

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
  const folders = readdirSync(join(ROOT, "test/agents/fixtures"));
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
  const outcome = await deployPipeline(bytes, limits, { moduleBytesMax: 1024 * 1024 });
  expect(outcome.stages.flatMap((stage) => stage.findings)).toEqual([]);
  expect(outcome.passed).toBe(true);
});

const clang = spawnSync("clang-14", ["--version"], { encoding: "utf8" });
const hasToolchain =
  clang.status === 0 &&
  clang.stdout.includes(CLANG_VERSION) &&
  spawnSync("wasm-ld-14", ["--version"]).status === 0;
if (!hasToolchain) {
  console.warn(`C agents are not rebuilt: there is no clang ${CLANG_VERSION} with wasm-ld here`);
}

test.skipIf(!hasToolchain).each(modules.filter((path) => isFromC(path)))(
  "%s is what its C source gives",
  (path) => {
    const built = join(scratch, path.replaceAll("/", "-"));
    execFileSync("sh", [join(ROOT, "sdk/c/build.sh"), source(path), built]);
    expect(readFileSync(built).equals(readFileSync(join(ROOT, path)))).toBe(true);
  },
);

function source(module: string): string {
  return join(ROOT, module.replace(/wasm$/, "c"));
}

function isFromC(module: string): boolean {
  return sums.some(([, path]) => path === module.replace(/wasm$/, "c"));
}
