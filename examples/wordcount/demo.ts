/**
 * What `npm start` runs: counts the words of a text with actors, kills its own node half-way, and shows that
 * every count is right all the same.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { parseArgs, styleText } from "node:util";
import { ranked, totalOf } from "./counts.ts";
import type { NodeProcess } from "./node-process.ts";
import { makeRunFolder, removeFolder } from "./run-folder.ts";
import { type Outcome, run } from "./run.ts";
import { many, number } from "./screen.ts";

const ROOT = join(import.meta.dirname, "../..");
const ENGINES = ["embedded", "jetstream"];
const TOP = 10;
const FAULTS_SHOWN = 10;
const BAR_WIDTH = 40;
const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;

const HELP = `Usage: npm start -- [options]

Counts the words of a text with a pipeline of actors on a node of its own, kills that
node with SIGKILL on the way, and compares the counts with the text. Then it serves
until Ctrl-C. Data lies in .caxton/wordcount-<pid> and goes when it ends.

Options:
  --input FILE  text to count (default: the README and docs of this repository)
  --port N      port of the API (default: a free one)
  --storage E   what the node stores with: embedded (default), or jetstream, on a
                nats-server of its own, which is fetched when the machine has none
  --once        end after the comparison: exit code 0 when all counts are right, else 1
  --json        write the result to standard output as one line of JSON
  --help        show this
`;

interface Options {
  readonly input: string | undefined;
  readonly port: number;
  readonly storage: string;
  readonly once: boolean;
  readonly json: boolean;
}

interface Running {
  node?: NodeProcess;
  isServing: boolean;
  isStopping: boolean;
}

const options = optionsOf(process.argv.slice(2));
const folder = makeRunFolder();
const running: Running = { isServing: false, isStopping: false };
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, interrupted);

try {
  await main();
} catch (error) {
  if (!running.isStopping)
    await end(1, `\nerror: ${error instanceof Error ? error.message : String(error)}\n`);
}

async function main(): Promise<void> {
  const { name, bytes } = readText(options.input);
  say(`\n${bold("Caxton")} counts the words of ${name}, ${number(bytes.length)} bytes.\n\n`);
  const natsServer = options.storage === "jetstream" ? findNatsServer() : undefined;
  const place = { folder, grpcPort: options.port, natsServer };
  const outcome = await run({
    place,
    bytes,
    started: (node) => {
      running.node = node;
    },
  });
  if (options.json) process.stdout.write(`${json(outcome)}\n`);
  else process.stdout.write(report(outcome));
  for (const fault of outcome.faults.slice(0, FAULTS_SHOWN)) say(`  ${fault}\n`);
  if (options.once) {
    await end(outcome.faults.length === 0 ? 0 : 1, "");
    return;
  }
  say(whatNext(outcome));
  running.isServing = true;
  const how = await outcome.node.ended;
  if (!running.isStopping) await end(1, `\nerror: the node ended: ${how}\n`);
}

function optionsOf(args: string[]): Options {
  const input = { type: "string" } as const;
  const flag = { type: "boolean", default: false } as const;
  try {
    const { values } = parseArgs({
      args,
      options: { input, port: input, storage: input, once: flag, json: flag, help: flag },
    });
    if (values.help) {
      process.stdout.write(HELP);
      process.exit(0);
    }
    const port = Number(values.port ?? 0);
    if (!(Number.isInteger(port) && port >= 0 && port <= 65_535)) {
      throw new Error(`--port ${values.port ?? ""} is no port.`);
    }
    const { storage = "embedded" } = values;
    if (!ENGINES.includes(storage)) {
      throw new Error(`--storage ${storage} is none of ${ENGINES.join(", ")}.`);
    }
    return { input: values.input, port, storage, once: values.once, json: values.json };
  } catch (error) {
    say(`error: ${error instanceof Error ? error.message : String(error)}\n\n${HELP}`);
    process.exit(EXIT_USAGE);
  }
}

function findNatsServer(): string {
  const { status, stdout } = spawnSync("sh", [join(ROOT, "scripts/nats-server.sh")], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  // It has said why.
  if (status !== 0) throw new Error("there is no nats-server for --storage jetstream");
  return stdout.trim();
}

/** `npm start` runs in the repository; paths are meant from where it was typed. */
function readText(input: string | undefined): { name: string; bytes: Uint8Array } {
  if (input !== undefined) {
    const path = resolve(process.env["INIT_CWD"] ?? "", input);
    return { name: basename(path), bytes: readFileSync(path) };
  }
  const docs = readdirSync(join(ROOT, "docs")).filter((name) => name.endsWith(".md"));
  const files = ["README.md", ...docs.sort().map((name) => `docs/${name}`)];
  const texts = files.map((file) => readFileSync(join(ROOT, file)));
  return { name: "README.md and docs", bytes: Buffer.concat(texts) };
}

function json({
  counts,
  faults,
  sent,
  facts,
  kills,
  ackedBeforeKill,
  resumedFrom,
  awaitsOpenAtKill,
}: Outcome): string {
  return JSON.stringify({
    counts: Object.fromEntries(ranked(counts)),
    sent,
    handled: facts.handled,
    replayed: facts.replayed,
    kills,
    acked_before_kill: ackedBeforeKill,
    resumed_from: resumedFrom,
    awaits_open_at_kill: awaitsOpenAtKill,
    exact: faults.length === 0,
  });
}

function report({ counts, faults, sent, facts, kills }: Outcome): string {
  const top = ranked(counts).slice(0, TOP);
  const wordWidth = Math.min(20, Math.max(0, ...top.map(([word]) => word.length)));
  const countWidth = Math.max(0, ...top.map(([, count]) => number(count).length));
  const most = top[0]?.[1] ?? 1;
  const rows = top.map(([word, count]) => {
    const bar = "━".repeat(Math.ceil((count / most) * BAR_WIDTH));
    const label = word.length > wordWidth ? `${word.slice(0, wordWidth - 1)}…` : word;
    return `  ${label.padEnd(wordWidth)}  ${number(count).padStart(countWidth)}  ${bar}\n`;
  });
  const verdict =
    faults.length === 0
      ? "Every count is the same as in the text."
      : `${many(faults.length, "difference")} from the text.`;
  return [
    `\n${rows.join("")}`,
    rows.length === 0 ? "  no words\n" : "",
    `\n  ${many(totalOf(counts), "word")}, ${number(counts.size)} different. ${verdict}\n`,
    `  sent ${number(sent)}   handled ${number(facts.handled)}`,
    `   replayed ${number(facts.replayed)}   kills ${number(kills)}\n`,
  ].join("");
}

function whatNext({ endpoint, counts }: Outcome): string {
  const caxton = relative(process.env["INIT_CWD"] ?? process.cwd(), join(ROOT, "bin/caxton"));
  const word = ranked(counts)[0]?.[0] ?? "caxton";
  return `
The node serves until Ctrl-C. In another terminal:

  export CAXTON_ENDPOINT=${endpoint}
  ${caxton} agent list
  ${caxton} state get default/counter/${word} count
  ${caxton} message ask --to default/splitter --content "${word} ${word}"
  ${caxton} message ask --to default/tally --performative query-ref

`;
}

function interrupted(): void {
  const code = running.isServing ? 0 : EXIT_INTERRUPTED;
  if (!running.isStopping) void end(code, "\nstopped\n");
}

/** The data goes with the run. Only a nats-server that is still there would go on writing it. */
async function end(code: number, text: string): Promise<void> {
  running.isStopping = true;
  await (options.storage === "jetstream" ? running.node?.stop() : running.node?.kill());
  removeFolder(folder);
  say(text);
  process.exit(code);
}

function say(text: string): void {
  process.stderr.write(text);
}

function bold(text: string): string {
  return styleText("bold", text, { stream: process.stderr });
}
