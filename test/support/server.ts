/** A real server in a process of its own, on free ports, in a folder of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

export const LAUNCHER = join(import.meta.dirname, "../../bin/caxton");

const READY = /^caxton ready node=(\S+) grpc=(\S+):(\d+) http=(\S+):(\d+) rest=(\S+):(\d+)$/;

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ServerOptions {
  /** Default: a new folder that goes with the process. */
  readonly directory?: string;
  readonly sets?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A command that runs the one which follows it. */
  readonly via?: readonly string[];
}

interface Ports {
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly restPort: number;
}

export class ServerProcess {
  readonly pid: number;
  readonly directory: string;
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly restPort: number;
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  readonly #lines: string[];
  readonly #ownsDirectory: boolean;

  constructor(started: StartedProcess, ports: Ports) {
    this.pid = started.child.pid!;
    this.directory = started.directory;
    this.grpcPort = ports.grpcPort;
    this.httpPort = ports.httpPort;
    this.restPort = ports.restPort;
    this.ended = started.ended;
    this.#child = started.child;
    this.#lines = started.lines;
    this.#ownsDirectory = started.ownsDirectory;
  }

  get endpoint(): string {
    return `127.0.0.1:${this.grpcPort}`;
  }

  /** Log lines so far, parsed. */
  log(): Record<string, unknown>[] {
    return this.#lines
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  kill(signal: NodeJS.Signals): Promise<Ended> {
    this.signal(signal);
    return this.ended;
  }

  /** For afterAll: whatever is left goes. */
  async dispose(): Promise<void> {
    await this.kill("SIGKILL");
    if (this.#ownsDirectory) rmSync(this.directory, { recursive: true, force: true });
  }
}

interface StartedProcess {
  readonly child: ChildProcess;
  readonly directory: string;
  readonly ownsDirectory: boolean;
  readonly lines: string[];
  readonly ended: Promise<Ended>;
}

/** Starts a server and resolves when it says it is ready. */
export async function startServerProcess(options: ServerOptions = {}): Promise<ServerProcess> {
  const started = spawnServer(options);
  const ready = new Promise<ServerProcess>((resolve) => {
    createInterface(started.child.stdout!).on("line", (line) => {
      const match = READY.exec(line);
      if (match === null) return;
      const [grpcPort, httpPort, restPort] = [match[3], match[5], match[7]].map(Number);
      const ports = { grpcPort: grpcPort!, httpPort: httpPort!, restPort: restPort! };
      resolve(new ServerProcess(started, ports));
    });
  });
  const failed = started.ended.then(({ code, signal }) => {
    const why = `code ${code}, signal ${signal}`;
    throw new Error(`the server ended (${why}) before it was ready:\n${started.lines.join("\n")}`);
  });
  return Promise.race([ready, failed]);
}

/** Starts a server that is expected to refuse; resolves with its exit code and standard error. */
export async function runServerToItsEnd(
  options: ServerOptions,
): Promise<{ code: number | null; stderr: string }> {
  const started = spawnServer(options);
  const { code } = await started.ended;
  if (started.ownsDirectory) rmSync(started.directory, { recursive: true, force: true });
  return { code, stderr: started.lines.join("\n") };
}

function spawnServer(options: ServerOptions): StartedProcess {
  const { directory, sets = [], args = [], env = {}, via = [] } = options;
  const folder = directory ?? mkdtempSync(join(tmpdir(), "caxton-server-"));
  const own = [
    "api.grpc.port=0",
    "api.http.port=0",
    "api.rest.port=0",
    "log.format=json",
    "workers.count=1",
    "partitions.count=4",
    `storage.directory=${folder}`,
    "storage.sizeBytesMax=67108864",
  ];
  const setArgs = [...own, ...sets].flatMap((set) => ["--set", set]);
  // Its standard input is our pipe: however the tests end, the server ends with them.
  const [program, ...words] = [...via, LAUNCHER, "server", "--stop-on-eof", ...setArgs, ...args];
  const child = spawn(program!, words, {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  const lines: string[] = [];
  createInterface(child.stderr).on("line", (line) => lines.push(line));
  const ended = new Promise<Ended>((resolve) => {
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
  return { child, directory: folder, ownsDirectory: directory === undefined, lines, ended };
}
