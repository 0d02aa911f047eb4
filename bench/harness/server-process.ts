/** A server in a process of its own, on the server's cores, with the configuration it ships with. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { endsWithUs } from "./at-exit.ts";
import { emptyStorage } from "./nats-storage.ts";
import { onServerCores } from "./pinning.ts";
import { cpuSecondsOf } from "./process-stat.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");
const READY = / grpc=(\S+) http=(\S+) rest=(\S+)/;

export class ServerProcess {
  readonly endpoint: string;
  /** Of metrics. */
  readonly httpEndpoint: string;
  readonly restEndpoint: string;
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  private constructor(
    child: ChildProcess,
    ended: Promise<unknown>,
    [endpoint, http, rest]: readonly string[],
  ) {
    this.#child = child;
    this.endpoint = endpoint!;
    this.httpEndpoint = http!;
    this.restEndpoint = rest!;
    this.pid = child.pid!;
    this.#ended = ended;
  }

  /** Resolves when the server takes work. In a new directory it begins with nothing, also where it stores on NATS. */
  static async start(
    directory: string,
    settings: readonly string[],
    cores = 1,
  ): Promise<ServerProcess> {
    if (!existsSync(directory)) await emptyStorage();
    const ports = ["grpc", "rest", "http"].map((name) => `api.${name}.port=0`);
    const all = [...ports, `storage.directory=${directory}`];
    const sets = [...all, ...settings].flatMap((set) => ["--set", set]);
    const node = [process.execPath, "--disable-wasm-trap-handler", "--no-warnings"];
    const [command, ...args] = onServerCores([...node, MAIN, ...sets], cores);
    const child = spawn(command!, args, { stdio: ["ignore", "pipe", "pipe"] });
    const ended = endsWithUs(child);
    const said: string[] = [];
    createInterface(child.stderr).on("line", (line) => {
      said.push(line);
      if (said.length > 50) said.shift();
    });
    return new Promise((resolve, reject) => {
      createInterface(child.stdout).on("line", (line) => {
        const ready = READY.exec(line);
        if (ready !== null) resolve(new ServerProcess(child, ended, ready.slice(1)));
      });
      child.once("close", () => {
        reject(new Error(`the server ended before it was ready:\n${said.join("\n")}`));
      });
    });
  }

  /** Processor time all its threads have used, user and system. Linux only: NaN elsewhere. */
  cpuSeconds(): number {
    return cpuSecondsOf(this.pid);
  }

  /** Physical memory of the whole process. Linux only: NaN elsewhere. */
  rssMb(): number {
    if (process.platform !== "linux") return NaN;
    const status = readFileSync(`/proc/${this.pid}/status`, "latin1");
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)![1]) / 1024;
  }

  /** What the process had written to the disk. Linux only: NaN elsewhere. */
  writtenBytes(): number {
    if (process.platform !== "linux") return NaN;
    return Number(/^write_bytes: (\d+)/m.exec(readFileSync(`/proc/${this.pid}/io`, "latin1"))![1]);
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}
