/**
 * Takes guards out of the code, one at a time, and checks that the test of each notices.
 * Usage: node scripts/mutants.ts [<name>...]
 *
 * A mutant is a patch of test/mutants that begins with `# guard: what it takes away` and
 * `# test: <project> <file> -t "<full name>"`. All works on a copy of the repository as it is now. Exit code 1
 * when a mutant survives, its patch no longer applies, or its test does not pass without it.
 */
import { spawn } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

const ROOT = join(import.meta.dirname, "..");
const PATCHES = "test/mutants";
const NOT_COPIED = new Set([".git", "node_modules", ".cache", ".caxton", "coverage"]);
/** A mutant may loop for ever; that counts as noticed, and is told apart: a slow machine hangs, too. */
const HANG_MS = 60_000;
const HANGS: ReadonlyMap<string, string> = new Map();

interface Mutant {
  readonly name: string;
  readonly guard: string;
  readonly project: string;
  readonly file: string;
  readonly test: string;
}

interface TestReport {
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

type Outcome =
  | "caught"
  | "hangs"
  | "SURVIVED"
  | "PATCH DOES NOT APPLY"
  | "TEST DOES NOT RUN"
  | "TEST FAILS WITHOUT IT";

const wanted = process.argv.slice(2);
const mutants = readdirSync(join(ROOT, PATCHES))
  .filter((name) => name.endsWith(".patch"))
  .map((name) => readMutant(basename(name, ".patch")))
  .filter(({ name }) => wanted.length === 0 || wanted.includes(name));
if (mutants.length === 0) {
  console.error(`no mutant of ${PATCHES} is called ${wanted.join(", ")}`);
  process.exit(2);
}

const copy = mkdtempSync(join(tmpdir(), "caxton-mutants-"));
process.once("SIGINT", () => process.exit(130)).once("SIGTERM", () => process.exit(143));
process.once("exit", () => {
  rmSync(copy, { recursive: true, force: true });
});
cpSync(ROOT, copy, { recursive: true, filter: (path) => !NOT_COPIED.has(basename(path)) });
symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));

const passing = await passingTests(mutants);
const outcomes: Outcome[] = [];
for (const mutant of mutants) {
  const outcome = passing.has(mutant.test) ? await tryMutant(mutant) : "TEST FAILS WITHOUT IT";
  outcomes.push(outcome);
  console.log(`${mutant.name.padEnd(24)} ${outcome.padEnd(22)} ${mutant.guard}`);
  if (outcome !== "caught") console.log(`  ${mutant.file}: ${mutant.test}`);
}
const count = (outcome: Outcome): number => outcomes.filter((it) => it === outcome).length;
const noticed = count("caught") + count("hangs");
const failed = mutants.length - noticed;
console.log(
  `\n${noticed} caught (${count("hangs")} of them by a test that hung), ${failed} failed`,
);
process.exitCode = failed === 0 ? 0 : 1;

function readMutant(name: string): Mutant {
  const text = readFileSync(join(ROOT, PATCHES, `${name}.patch`), "utf8");
  const match = /^# guard: (.+)\n# test: (\S+) (\S+) -t "(.+)"\n/.exec(text);
  if (match === null) throw new Error(`${PATCHES}/${name}.patch does not begin with its header`);
  const [, guard, project, file, test] = match as unknown as [string, ...string[]];
  return { name, guard: guard!, project: project!, file: file!, test: test! };
}

/** Names of the tests that pass in the code as it is. */
async function passingTests(of: readonly Mutant[]): Promise<Set<string>> {
  const projects = new Set(of.map(({ project }) => project));
  const files = new Set(of.map(({ file }) => file));
  const statuses = await runTests([...projects], [...files]);
  return new Set([...statuses].filter(([, status]) => status === "passed").map(([name]) => name));
}

async function tryMutant({ name, project, file, test }: Mutant): Promise<Outcome> {
  const patch = join(ROOT, PATCHES, `${name}.patch`);
  if ((await run("git", ["apply", patch])) !== 0) return "PATCH DOES NOT APPLY";
  const pattern = `^${test.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`;
  const statuses = await runTests([project], [file, "-t", pattern]);
  if ((await run("git", ["apply", "--reverse", patch])) !== 0) {
    throw new Error(`${name}.patch can't be taken back`);
  }
  if (statuses === HANGS) return "hangs";
  const status = statuses.get(test);
  if (status === "passed") return "SURVIVED";
  return status === "failed" ? "caught" : "TEST DOES NOT RUN";
}

/** Status of every test by its full name; empty when vitest wrote no report. */
async function runTests(
  projects: readonly string[],
  args: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const report = join(copy, "mutants-report.json");
  rmSync(report, { force: true });
  const toProjects = projects.flatMap((project) => ["--project", project]);
  const output = ["--reporter=json", `--outputFile=${report}`];
  const code = await run("vitest", ["run", ...toProjects, ...output, ...args]);
  if (code === undefined) return HANGS;
  if (!existsSync(report)) return new Map();
  const { testResults } = JSON.parse(readFileSync(report, "utf8")) as TestReport;
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults);
  return new Map(tests.map(({ fullName, status }) => [fullName, status]));
}

/** Resolves with the exit code, or with undefined when it was killed for its time. */
function run(command: string, args: readonly string[]): Promise<number | undefined> {
  const path = `${join(ROOT, "node_modules/.bin")}:${process.env["PATH"] ?? ""}`;
  // A process group of its own, so that a worker that loops ends with it.
  const child = spawn(command, [...args], {
    cwd: copy,
    detached: true,
    stdio: "ignore",
    // A copy below another repository must not be taken for a part of it.
    env: { ...process.env, PATH: path, GIT_CEILING_DIRECTORIES: tmpdir() },
  });
  const killGroup = () => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGKILL");
  };
  process.once("exit", killGroup);
  return new Promise((resolve, reject) => {
    let hangs = false;
    const timer = setTimeout(() => {
      hangs = true;
      killGroup();
    }, HANG_MS);
    child.once("error", reject);
    child.once("exit", (code) => {
      clearTimeout(timer);
      process.off("exit", killGroup);
      resolve(hangs ? undefined : (code ?? 1));
    });
  });
}
