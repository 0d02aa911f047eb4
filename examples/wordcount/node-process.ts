/**
 * A Caxton node as a child process, with a folder of its own.
 * 1. The node ends with this process, however this process ends: its standard input is our pipe.
 * 2. `ended` settles exactly once, with the way the process went.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

const ROOT = join(import.meta.dirname, "../..");
const READY = /^caxton ready .*grpc=(\S+)/;
const LOG_LINES_SHOWN = 12;

export interface NodePlace {
  readonly folder: string;
  /** 0 takes a free one. */
  readonly grpcPort: number;
}

export class NodeProcess {
  readonly pid: number;
  readonly endpoint: string;
  readonly ended: Promise<string>;
  readonly #child: ChildProcess;

  constructor(child: ChildProcess, endpoint: string, ended: Promise<string>) {
    this.pid = child.pid!;
    this.endpoint = endpoint;
    this.ended = ended;
    this.#child = child;
  }

  /** No farewell: the process is gone as in a crash. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.ended;
  }

  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.ended;
  }
}

/** Resolves when the node takes work. */
export async function startNode({ folder, grpcPort }: NodePlace): Promise<NodeProcess> {
  mkdirSync(folder, { recursive: true });
  const logFile = join(folder, "node.log");
  const log = openSync(logFile, "a");
  const child = spawn(join(ROOT, "bin/caxton"), ["server", "--stop-on-eof", ...settings()], {
    stdio: ["pipe", "pipe", log],
    // Ctrl-C is for us: we stop the node in our own time.
    detached: true,
  });
  closeSync(log);
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(signal ?? `exit code ${String(code)}`));
  });
  const endpoint = await Promise.race([
    new Promise<string>((resolve) => {
      createInterface(child.stdout!).on("line", (line) => {
        const match = READY.exec(line);
        if (match !== null) resolve(match[1]!);
      });
    }),
    ended.then((how): never => {
      throw new Error(`the node did not start (${how}):\n${tail(logFile)}`);
    }),
  ]);
  return new NodeProcess(child, endpoint, ended);

  function settings(): string[] {
    const values = {
      "storage.directory": join(folder, "data"),
      "api.grpc.port": grpcPort,
      "api.http.port": 0,
      "log.level": "warn",
      "log.format": "json",
    };
    return Object.entries(values).flatMap(([key, value]) => ["--set", `${key}=${String(value)}`]);
  }
}

function tail(file: string): string {
  return readFileSync(file, "utf8").trimEnd().split("\n").slice(-LOG_LINES_SHOWN).join("\n");
}
