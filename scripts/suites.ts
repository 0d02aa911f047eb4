/**
 * Runs the project's checks one after the other and counts them.
 * Usage: node scripts/suites.ts test | verify | <suite>...
 * Every suite has a budget; together they are ten minutes on two cores. One that passes it is named; one
 * that passes it four times over hangs, and is killed and failed. The last line is "N passed, N failed": a static
 * check counts as one, a vitest suite as its tests.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface Suite {
  readonly name: string;
  readonly budgetS: number;
  /** A script of node_modules/.bin or of the repository, with its arguments. */
  readonly command: readonly string[];
}

interface Count {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** A machine may be that much slower than the budgets assume. */
const HANG_FACTOR = 4;

const ROOT = join(import.meta.dirname, "..");

const vitest = (project: string) => ["vitest", "run", "--project", project];
const isVitest = ({ command }: Suite) => command[0] === "vitest";

/** Looked for once, when the first tests need it. */
let natsServer: string | undefined;

const VERIFY: readonly Suite[] = [
  { name: "format", budgetS: 15, command: ["prettier", "--check", "--log-level=warn", "."] },
  { name: "lint", budgetS: 30, command: ["eslint", "--max-warnings=0", "."] },
  { name: "types", budgetS: 20, command: ["tsc", "--project", "."] },
  {
    name: "imports",
    budgetS: 8,
    command: [
      "depcruise",
      "--config",
      ".dependency-cruiser.cjs",
      "src",
      "cli",
      "sdk/agent/testing",
      "sdk/client-ts",
      "bench",
      "examples",
    ],
  },
  { name: "dead-code", budgetS: 8, command: ["knip"] },
  { name: "proto", budgetS: 5, command: ["buf", "lint", "proto"] },
  { name: "generated", budgetS: 8, command: ["node", "scripts/generate.ts", "--check"] },
  { name: "unit", budgetS: 65, command: vitest("unit") },
  { name: "sim", budgetS: 45, command: vitest("sim") },
];

const BEYOND_VERIFY: readonly Suite[] = [
  { name: "contract", budgetS: 25, command: vitest("contract") },
  { name: "agents", budgetS: 45, command: vitest("agents") },
  { name: "integration", budgetS: 240, command: vitest("integration") },
  { name: "crash", budgetS: 80, command: vitest("crash") },
];

const ALL = [...VERIFY, ...BEYOND_VERIFY];

function choose(names: readonly string[]): readonly Suite[] {
  if (names.length === 1 && names[0] === "test") return ALL;
  if (names.length === 1 && names[0] === "verify") return VERIFY;
  return names.map((name) => {
    const suite = ALL.find((candidate) => candidate.name === name);
    if (!suite) {
      console.error(`no suite '${name}'; there are: ${ALL.map((each) => each.name).join(", ")}`);
      process.exit(2);
    }
    return suite;
  });
}

/** For tests on real servers, which are never skipped. The script says why when there is none to be had. */
function findNatsServer(): string | undefined {
  const script = join(ROOT, "scripts/nats-server.sh");
  const { status, stdout } = spawnSync("sh", [script], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  return status === 0 ? stdout.trim() : undefined;
}

/** Resolves with the exit code, or with undefined when the suite was killed for its budget. */
function run(suite: Suite, extraArguments: readonly string[]): Promise<number | undefined> {
  const [program, ...programArguments] = suite.command;
  // A process group of its own, so that whatever the suite started ends with it.
  const child = spawn(program!, [...programArguments, ...extraArguments], {
    cwd: ROOT,
    detached: true,
    stdio: ["ignore", "inherit", "inherit"],
    env: {
      ...process.env,
      PATH: `${join(ROOT, "node_modules/.bin")}:${process.env["PATH"] ?? ""}`,
      ...(natsServer !== undefined && { CAXTON_NATS_SERVER: natsServer }),
    },
  });
  const killGroup = () => {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  };
  const interrupted = () => {
    killGroup();
    process.exit(130);
  };
  process.once("SIGINT", interrupted).once("SIGTERM", interrupted);
  return new Promise((resolve, reject) => {
    let overBudget = false;
    const timer = setTimeout(
      () => {
        overBudget = true;
        killGroup();
      },
      suite.budgetS * HANG_FACTOR * 1000,
    );
    child.once("error", reject);
    child.once("exit", (code) => {
      clearTimeout(timer);
      process.off("SIGINT", interrupted).off("SIGTERM", interrupted);
      resolve(overBudget ? undefined : (code ?? 1));
    });
  });
}

/** What vitest's JSON report counts; nothing when it died before writing one. */
function readReport(file: string): Count {
  try {
    const report = JSON.parse(readFileSync(file, "utf8")) as Record<string, number>;
    return {
      passed: report["numPassedTests"] ?? 0,
      failed: report["numFailedTests"] ?? 0,
      skipped: (report["numPendingTests"] ?? 0) + (report["numTodoTests"] ?? 0),
    };
  } catch {
    return { passed: 0, failed: 0, skipped: 0 };
  }
}

async function runCounted(suite: Suite, scratch: string): Promise<Count> {
  if (isVitest(suite)) natsServer ??= findNatsServer();
  if (isVitest(suite) && natsServer === undefined) return { passed: 0, failed: 1, skipped: 0 };
  const report = join(scratch, `${suite.name}.json`);
  const code = await run(
    suite,
    isVitest(suite) ? ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`] : [],
  );
  if (code === undefined) console.log(`${suite.name}: killed, it hangs`);
  const count = isVitest(suite) ? readReport(report) : { passed: 0, failed: 0, skipped: 0 };
  if (code === 0) return isVitest(suite) ? count : { ...count, passed: 1 };
  // A suite may fail without a failed test: a file that does not load, an unhandled rejection.
  return { ...count, failed: Math.max(1, count.failed) };
}

const suites = choose(process.argv.slice(2));
const scratch = mkdtempSync(join(tmpdir(), "caxton-suites-"));
const rows: string[] = [];
let passed = 0;
let failed = 0;
for (const suite of suites) {
  console.log(`\n== ${suite.name} (budget ${suite.budgetS} s)`);
  const startedAtMs = performance.now();
  const count = await runCounted(suite, scratch);
  const tookMs = performance.now() - startedAtMs;
  const tookS = (tookMs / 1000).toFixed(1);
  const isOver = tookMs > suite.budgetS * 1000;
  passed += count.passed;
  failed += count.failed;
  rows.push(
    [
      suite.name.padEnd(12),
      `${tookS} s of ${suite.budgetS} s${isOver ? " OVER" : ""}`.padStart(22),
      `${count.passed} passed`.padStart(13),
      `${count.failed} failed`.padStart(11),
      `${count.skipped} skipped`.padStart(12),
    ].join(""),
  );
}
rmSync(scratch, { recursive: true, force: true });

console.log(`\n${rows.join("\n")}\n\n${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
