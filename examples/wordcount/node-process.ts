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
  /** Of the nats-server the node runs its storage on; undefined: it stores in files. */
  readonly natsServer: string | undefined;
}

export class NodeProcess {
  readonly pid: number;
  /** The API's endpoint; rejects when the node does not start. */
  readonly ready: Promise<string>;
  /** How the process ended. */
  readonly ended: Promise<string>;
  readonly #child: ChildProcess;

  constructor({ folder, grpcPort, natsServer }: NodePlace) {
    mkdirSync(folder, { recursive: true });
    const logFile = join(folder, "node.log");
    const log = openSync(logFile, "a");
    const settings = {
      "storage.directory": join(folder, "data"),
      "api.grpc.port": grpcPort,
      "api.http.port": 0,
      "api.rest.port": 0,
      "log.level": "warn",
      "log.format": "json",
      "storage.engine": natsServer === undefined ? "embedded" : "jetstream",
    };
    const sets = Object.entries(settings).map(([key, value]) => `--set=${key}=${String(value)}`);
    const child = spawn(join(ROOT, "bin/caxton"), ["server", "--stop-on-eof", ...sets], {
      stdio: ["pipe", "pipe", log],
      // Ctrl-C is for us: we end the node.
      detached: true,
      env: {
        ...process.env,
        ...(natsServer !== undefined && { CAXTON_NATS_SERVER: natsServer }),
      },
    });
    closeSync(log);
    this.#child = child;
    this.pid = child.pid!;
    this.ended = new Promise<string>((resolve) => {
      child.once("error", (error) => resolve(error.message));
      child.once("exit", (code, signal) => resolve(signal ?? `exit code ${String(code)}`));
    });
    this.ready = Promise.race([
      endpointOf(child),
      this.ended.then((how): never => {
        throw new Error(`the node did not start, ${how}\n${lastWords(logFile)}`);
      }),
    ]);
  }

  /** In order, its nats-server included. */
  async stop(): Promise<void> {
    this.#child.stdin!.end();
    await this.ended;
  }

  /** No farewell: the process is gone as in a crash. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.ended;
  }
}

/** From the line the node prints when it takes work. */
function endpointOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    createInterface(child.stdout!).on("line", (line) => {
      const match = READY.exec(line);
      if (match !== null) resolve(match[1]!);
    });
  });
}

/** What the node said last: its failure, or the end of its log. */
function lastWords(file: string): string {
  const text = readFileSync(file, "utf8").trimEnd();
  const failure = text.lastIndexOf("\nerror: ");
  if (failure >= 0) return text.slice(failure + 1);
  return text.split("\n").slice(-LOG_LINES_SHOWN).join("\n");
}
