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
import { join, relative } from "node:path";

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
  /** What to say of each failure once more, behind the counts. */
  readonly failures: readonly string[];
}

const NOTHING: Count = { passed: 0, failed: 0, skipped: 0, failures: [] };
const FAILURE_LINES_MAX = 12;
const FAILURE_LINE_CHARS_MAX = 300;

/** A machine may be that much slower than the budgets assume. */
const HANG_FACTOR = 4;

const ROOT = join(import.meta.dirname, "..");

const vitest = (project: string) => ["vitest", "run", "--project", project];
const isVitest = ({ command }: Suite) => command[0] === "vitest";

/** Looked for once, when the first tests need it. */
let natsServer: string | undefined;

const VERIFY: readonly Suite[] = [
  { name: "format", budgetS: 10, command: ["prettier", "--check", "--log-level=warn", "."] },
  { name: "lint", budgetS: 25, command: ["eslint", "--max-warnings=0", "."] },
  { name: "types", budgetS: 10, command: ["tsc", "--project", "."] },
  {
    name: "imports",
    budgetS: 5,
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
  { name: "dead-code", budgetS: 5, command: ["knip"] },
  { name: "proto", budgetS: 5, command: ["buf", "lint", "proto"] },
  { name: "generated", budgetS: 5, command: ["node", "scripts/generate.ts", "--check"] },
  { name: "unit", budgetS: 50, command: vitest("unit") },
  { name: "sim", budgetS: 30, command: vitest("sim") },
];

const BEYOND_VERIFY: readonly Suite[] = [
  { name: "contract", budgetS: 25, command: vitest("contract") },
  { name: "agents", budgetS: 40, command: vitest("agents") },
  { name: "integration", budgetS: 330, command: vitest("integration") },
  { name: "crash", budgetS: 60, command: vitest("crash") },
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

/** Of vitest's JSON report. */
interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly duration?: number | null;
      readonly failureMessages?: readonly string[] | null;
    }[];
  }[];
}

/** What vitest's JSON report counts; nothing when it died before writing one. */
function readReport(file: string): Count {
  try {
    const report = JSON.parse(readFileSync(file, "utf8")) as Report;
    return {
      passed: report.numPassedTests,
      failed: report.numFailedTests,
      skipped: report.numPendingTests + report.numTodoTests,
      failures: report.testResults.flatMap(failuresOf),
    };
  } catch {
    return NOTHING;
  }
}

/** Each with the first lines of why: of a long log often only the end is kept. */
function failuresOf(file: Report["testResults"][number]): string[] {
  const path = relative(ROOT, file.name);
  const failed = file.assertionResults.filter(({ status }) => status === "failed");
  if (failed.length === 0 && file.status === "failed")
    return [`${path}\n${shortened(file.message)}`];
  return failed.map(({ fullName, duration, failureMessages }) => {
    const why = shortened((failureMessages ?? []).join("\n"));
    return `${path} > ${fullName} (${Math.round(duration ?? 0)} ms)\n${why}`;
  });
}

function shortened(message: string): string {
  const lines = message.split("\n").slice(0, FAILURE_LINES_MAX);
  return lines.map((line) => `    ${line.slice(0, FAILURE_LINE_CHARS_MAX)}`).join("\n");
}

async function runCounted(suite: Suite, scratch: string): Promise<Count> {
  if (isVitest(suite)) natsServer ??= findNatsServer();
  if (isVitest(suite) && natsServer === undefined) {
    return { ...NOTHING, failed: 1, failures: [`${suite.name}: no nats-server`] };
  }
  const report = join(scratch, `${suite.name}.json`);
  const code = await run(
    suite,
    isVitest(suite) ? ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`] : [],
  );
  const count = isVitest(suite) ? readReport(report) : NOTHING;
  if (code === 0) return isVitest(suite) ? count : { ...count, passed: 1 };
  const why = code === undefined ? "killed, it hangs" : `exit code ${code}`;
  // A suite may fail without a failed test: a file that does not load, an unhandled rejection.
  return {
    ...count,
    failed: Math.max(1, count.failed),
    failures: count.failures.length > 0 ? count.failures : [`${suite.name}: ${why}`],
  };
}

const suites = choose(process.argv.slice(2));
const scratch = mkdtempSync(join(tmpdir(), "caxton-suites-"));
const rows: string[] = [];
const failures: string[] = [];
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
  failures.push(...count.failures);
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

const failedLines = failures.map((failure) => `FAILED ${failure}\n`);
console.log(`\n${rows.join("\n")}\n\n${failedLines.join("")}${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
