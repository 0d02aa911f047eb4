/**
 * What the documents tell a reader to type, typed as it stands there, prints what stands there.
 *
 * The word after a fence's language says what happens: `run` is typed into a shell, `file=PATH` is written.
 * A `text` block after it is the output, with `…` for what differs from run to run; without one nothing
 * may be printed. Only the ports are not those of the documents: 0 in the environment takes free ones.
 */
import { type ChildProcessByStdio, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { afterEach, beforeEach, expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
/** A document has several agents to compile, each a few seconds on a busy machine. */
const DOCUMENT_TIMEOUT_MS = 120_000;
const READY = /^caxton ready .* grpc=\S+?:(\d+) http=\S+?:(\d+) rest=\S+?:(\d+)$/m;

interface Step {
  readonly script: string;
  readonly output: string;
}

function stepsOf(document: string): readonly Step[] {
  const text = readFileSync(join(ROOT, document), "utf8");
  const blocks = [...text.matchAll(/^```(\w+) ?(.*)\n([\s\S]*?)^```$/gm)].map(
    ([, language = "", info = "", body = ""]) => ({ language, info, body }),
  );
  return blocks.flatMap(({ info, body }, i) => {
    const next = blocks[i + 1];
    const output = next?.language === "text" ? next.body : "";
    if (info === "run") return [{ script: body, output }];
    const path = /^file=(\S+)$/.exec(info)?.[1];
    if (path === undefined) return [];
    return [
      {
        script: `mkdir -p "$(dirname ${path})"\ncat > ${path} <<'END OF FILE'\n${body}END OF FILE\n`,
        output: "",
      },
    ];
  });
}

/** A shell in the repository, as a reader of the documents has it. Its home is empty. */
class Terminal {
  readonly #shell: ChildProcessByStdio<Writable, Readable, null>;
  readonly #ended: Promise<unknown>;
  #output = "";
  #restPort = "";

  constructor(home: string) {
    this.#shell = spawn("sh", ["-s"], {
      cwd: ROOT,
      stdio: ["pipe", "pipe", "inherit"],
      env: {
        ...process.env,
        HOME: home,
        XDG_CACHE_HOME: process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"),
        CAXTON_API_GRPC_PORT: "0",
        CAXTON_API_HTTP_PORT: "0",
        CAXTON_API_REST_PORT: "0",
        CAXTON_WORKERS_COUNT: "1",
        CAXTON_STORAGE_SIZE_BYTES_MAX: "67108864",
      },
    });
    this.#ended = new Promise((resolve) => this.#shell.once("close", resolve));
    this.#shell.stdout.on("data", (bytes) => (this.#output += String(bytes)));
    // A server that is left over ends with the shell.
    this.#shell.stdin.write("exec 2>&1\ntrap 'kill -9 $!; wait' EXIT\n");
  }

  /** Types a script and resolves with what it prints; waits for a server in it, as a reader does. */
  async run(script: string): Promise<string> {
    this.#output = "";
    const typed = script.replaceAll("127.0.0.1:8080", `127.0.0.1:${this.#restPort}`);
    this.#shell.stdin.write(`${typed}echo; echo "done, $?"\n`);
    await this.#seen(/^done, \d+$/m);
    if (!/^caxton server.*&$/m.test(script)) return withoutNoise(this.#output);
    const [, grpcPort = "", httpPort = "", restPort = ""] = await this.#seen(READY);
    this.#restPort = restPort;
    this.#shell.stdin.write(`export CAXTON_ENDPOINT=127.0.0.1:${grpcPort}\n`);
    return withoutNoise(this.#output)
      .replace(`grpc=127.0.0.1:${grpcPort}`, "grpc=127.0.0.1:50051")
      .replace(`http=127.0.0.1:${httpPort}`, "http=127.0.0.1:9090")
      .replace(`rest=127.0.0.1:${restPort}`, "rest=127.0.0.1:8080");
  }

  #seen(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const match = pattern.exec(this.#output);
        if (match === null) return;
        this.#shell.stdout.off("data", look);
        resolve(match);
      };
      this.#shell.stdout.on("data", look);
      void this.#ended.then(() => reject(new Error(`the shell ended: ${this.#output}`)));
      look();
    });
  }

  async close(): Promise<void> {
    this.#shell.stdin.end();
    await this.#ended;
  }
}

/** Drops our mark and what the shell says of a killed job. */
function withoutNoise(output: string): string {
  return output.replace(/^(done, \d+|.*\bKilled\b.*|.*\bTerminated\b.*)$/gm, "");
}

/** Line ends do not count: a reply that goes to a pipe has none. */
function oneLine(text: string): string {
  return text.replaceAll("\n", "");
}

function shown(output: string): RegExp {
  const parts = oneLine(output)
    .split("…")
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join("\\S+")}$`);
}

let home: string;
let terminal: Terminal;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "caxton-reader-"));
  terminal = new Terminal(home);
});

afterEach(async () => {
  await terminal.close();
  rmSync(home, { recursive: true, force: true });
});

const hasCurl = spawnSync("curl", ["--version"]).status === 0;
if (!hasCurl) console.warn("SKIPPED: docs/rest.md is not tried, there is no curl on this machine");

test.each(["README.md", "docs/first-agent.md", ...(hasCurl ? ["docs/rest.md"] : [])])(
  "%s does what it says",
  async (document) => {
    const steps = stepsOf(document);
    expect(steps.length).toBeGreaterThan(5);
    const startedMs = performance.now();
    for (const { script, output } of steps) {
      expect(oneLine(await terminal.run(script)), script).toMatch(shown(output));
    }
    const elapsedSeconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    console.info(`${document}: ${String(steps.length)} steps typed in ${elapsedSeconds} s`);
  },
  DOCUMENT_TIMEOUT_MS,
);
