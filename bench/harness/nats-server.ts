/** A nats-server on the core of this process: its ports and its data stay the same over a kill and a new start. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { endsWithUs } from "./at-exit.ts";
import { freePorts, natsAccepts } from "./loopback.ts";
import { cpuSecondsOf } from "./process-stat.ts";

const SCRIPT = join(import.meta.dirname, "../../scripts/nats-server.sh");
const HOST = "127.0.0.1";
const START_MS_MAX = 10_000;
const LOOK_MS = 20;
const STORE_BYTES_MAX = 1024 ** 4;

interface Ports {
  readonly clients: number;
  readonly routes: number;
  readonly monitor: number;
}

export class NatsServer {
  readonly name: string;
  readonly url: string;
  readonly #program: string;
  readonly #configuration: string;
  readonly #ports: Ports;
  #child: ChildProcess | undefined;
  #ended: Promise<unknown> = Promise.resolve();

  constructor(program: string, name: string, directory: string, ports: Ports, settings: object) {
    this.name = name;
    this.url = `${HOST}:${ports.clients}`;
    this.#program = program;
    this.#ports = ports;
    this.#configuration = join(directory, "nats-server.conf");
    mkdirSync(directory, { recursive: true });
    writeFileSync(this.#configuration, JSON.stringify(settings));
  }

  /** Resolves when clients can connect. */
  async start(): Promise<void> {
    const child = spawn(this.#program, ["-c", this.#configuration], { stdio: "ignore" });
    this.#child = child;
    this.#ended = endsWithUs(child);
    const giveUpAt = performance.now() + START_MS_MAX;
    while (!(await natsAccepts(this.#ports.clients))) {
      if (child.exitCode !== null || performance.now() > giveUpAt) {
        await this.kill();
        throw new Error(`nats-server ${this.name} does not start`);
      }
      await wait(LOOK_MS);
    }
  }

  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#ended;
  }

  cpuSeconds(): number {
    return cpuSecondsOf(this.#child!.pid!);
  }

  /** Names of the clients that are connected to it. */
  async clientNames(): Promise<string[]> {
    const answer = await fetch(`http://${HOST}:${this.#ports.monitor}/connz`);
    const { connections } = (await answer.json()) as { connections: { name?: string }[] };
    return connections.map(({ name = "" }) => name);
  }
}

/** Started one beside the other; more than one are a cluster. */
export async function startNatsServers(
  count: number,
  directory: string,
  syncInterval: string,
): Promise<NatsServer[]> {
  const program = natsServerProgram();
  const ports = await freePortsOf(count);
  const routes = ports.map((each) => `nats://${HOST}:${each.routes}`);
  const servers = ports.map((own, i) => {
    const name = `n${i + 1}`;
    const folder = join(directory, name);
    return new NatsServer(program, name, folder, own, {
      server_name: name,
      listen: `${HOST}:${own.clients}`,
      http: `${HOST}:${own.monitor}`,
      jetstream: {
        store_dir: folder,
        sync_interval: syncInterval,
        max_file_store: STORE_BYTES_MAX,
      },
      ...(count > 1 && { cluster: { name: "bench", listen: `${HOST}:${own.routes}`, routes } }),
    });
  });
  try {
    await Promise.all(servers.map((server) => server.start()));
    return servers;
  } catch (error) {
    await Promise.all(servers.map((server) => server.kill()));
    throw error;
  }
}

/** Processor time they have used, all together. */
export function cpuSecondsOfServers(servers: readonly NatsServer[]): number {
  return servers.reduce((sum, server) => sum + server.cpuSeconds(), 0);
}

function natsServerProgram(): string {
  const found = spawnSync("sh", [SCRIPT], {
    stdio: ["ignore", "pipe", "inherit"],
    encoding: "utf8",
  });
  if (found.status !== 0) throw new Error("there is no nats-server to measure with");
  return found.stdout.trim();
}

async function freePortsOf(servers: number): Promise<Ports[]> {
  const ports = await freePorts(servers * 3);
  return Array.from({ length: servers }, (_, i) => {
    const [clients, routes, monitor] = ports.slice(i * 3);
    return { clients: clients!, routes: routes!, monitor: monitor! };
  });
}
