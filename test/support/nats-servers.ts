/** Real nats-servers on free loopback ports, each with its data and its configuration file in a folder of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect as connectNats } from "@nats-io/transport-node";
import { freePorts, natsAccepts } from "../../bench/harness/loopback.ts";

export interface NatsServerOptions {
  /** What `durable` means: every message is synced before its ack. Default: true. */
  readonly syncAlways?: boolean;
  readonly maxPayloadBytes?: number;
  /** Default: with JetStream. */
  readonly jetstream?: boolean;
  /** What JetStream may store. Default: 1 GiB. */
  readonly storeBytesMax?: number;
  /** Further lines of the configuration file: users, TLS, account limits. */
  readonly configuration?: string;
  /** For waiting until it is ready, where the configuration asks for a user. */
  readonly user?: string;
  readonly password?: string;
}

const START_TRIES = 5;
const READY_MS_MAX = 20_000;
const POLL_MS = 20;
const PAUSE_MS_MAX = 1000;

/** A server that can be killed, paused and started again on the same data and ports. */
export class NatsServer {
  readonly name: string;
  readonly port: number;
  readonly directory: string;
  readonly #configurationFile: string;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();

  constructor(name: string, port: number, directory: string, configurationFile: string) {
    this.name = name;
    this.port = port;
    this.directory = directory;
    this.#configurationFile = configurationFile;
  }

  get url(): string {
    return `127.0.0.1:${this.port}`;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get logFile(): string {
    return join(this.directory, "server.log");
  }

  /** Resolves when it accepts connections. */
  async start(): Promise<void> {
    const binary = process.env["CAXTON_NATS_SERVER"] ?? "nats-server";
    const child = spawn(binary, ["-c", this.#configurationFile], { stdio: "ignore" });
    const guard = endsWithUs(child.pid);
    let why: string | undefined;
    this.#child = child;
    this.#ended = new Promise((resolve) => {
      child.once("error", (error) => {
        why = `${binary} can't be started (set CAXTON_NATS_SERVER): ${error.message}`;
        resolve();
      });
      child.once("exit", (code, signal) => {
        guard?.kill("SIGKILL");
        why = `it ended with ${signal ?? `code ${code}`}`;
        resolve();
      });
    });
    const ends = performance.now() + READY_MS_MAX;
    while (!(await natsAccepts(this.port))) {
      if (why === undefined && performance.now() < ends) {
        await delay(POLL_MS);
        continue;
      }
      await this.kill();
      throw new Error(`nats-server ${this.name}: ${why ?? "not ready in time"}\n${this.log()}`);
    }
  }

  log(): string {
    try {
      return readFileSync(this.logFile, "utf8");
    } catch {
      return "";
    }
  }

  kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    this.#child?.kill(signal);
    // A paused one would never take it.
    if (signal !== "SIGKILL") this.#child?.kill("SIGCONT");
    return this.#ended;
  }

  /** A signal is not there at once: returns when it has stopped. */
  pause(): void {
    this.#child?.kill("SIGSTOP");
    const ends = performance.now() + PAUSE_MS_MAX;
    while (!isStopped(this.pid) && performance.now() < ends);
  }

  resume(): void {
    this.#child?.kill("SIGCONT");
  }

  async restart(
    signal: NodeJS.Signals = "SIGKILL",
    meanwhile: () => Promise<void> = () => Promise.resolve(),
  ): Promise<void> {
    await this.kill(signal);
    await meanwhile();
    await this.start();
  }

  /** Writes other settings; they hold from the next start. */
  reconfigure(change: (configuration: string) => string): void {
    const now = readFileSync(this.#configurationFile, "utf8");
    writeFileSync(this.#configurationFile, change(now), { mode: 0o600 });
  }

  /** Stops it and removes its data. */
  async dispose(): Promise<void> {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export interface NatsCluster {
  readonly servers: readonly NatsServer[];
  readonly urls: string[];
  dispose(): Promise<void>;
}

export async function startNatsServer(options: NatsServerOptions = {}): Promise<NatsServer> {
  const [server] = await startServers(["n1"], options);
  return server!;
}

/** Three servers, started and agreed on a leader. */
export async function startNatsCluster(options: NatsServerOptions = {}): Promise<NatsCluster> {
  const servers = await startServers(["n1", "n2", "n3"], options);
  const dispose = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.dispose()));
  };
  return { servers, urls: servers.map((server) => server.url), dispose };
}

/** A port that was free a moment ago may be taken: then all is tried again with other ports. */
async function startServers(
  names: readonly string[],
  options: NatsServerOptions,
): Promise<NatsServer[]> {
  for (let tries = 1; ; tries++) {
    const servers = await makeServers(names, options);
    try {
      await Promise.all(servers.map((server) => server.start()));
      if (options.jetstream !== false) await waitForJetStream(servers, options);
      return servers;
    } catch (error) {
      await Promise.all(servers.map((server) => server.dispose()));
      const isTaken = error instanceof Error && error.message.includes("address already in use");
      if (!isTaken || tries === START_TRIES) throw error;
    }
  }
}

async function makeServers(
  names: readonly string[],
  options: NatsServerOptions,
): Promise<NatsServer[]> {
  const ports = await freePorts(names.length * 2);
  const routePorts = ports.splice(names.length);
  return names.map((name, i) => {
    const directory = mkdtempSync(join(tmpdir(), "caxton-nats-"));
    const configurationFile = join(directory, "server.conf");
    const server = new NatsServer(name, ports[i]!, directory, configurationFile);
    const routes = names.length > 1 ? clusterLines(routePorts, i) : [];
    const lines = [...serverLines(server, options), ...routes, options.configuration ?? ""];
    writeFileSync(configurationFile, `${lines.join("\n")}\n`, { mode: 0o600 });
    return server;
  });
}

function serverLines(server: NatsServer, options: NatsServerOptions): string[] {
  const { syncAlways = true, maxPayloadBytes = 1024 * 1024 } = options;
  const lines = [
    `server_name: ${server.name}`,
    `listen: "127.0.0.1:${server.port}"`,
    `log_file: ${JSON.stringify(server.logFile)}`,
    `max_payload: ${maxPayloadBytes}`,
  ];
  if (options.jetstream === false) return lines;
  const store = JSON.stringify(join(server.directory, "data"));
  const bytesMax = options.storeBytesMax ?? 1024 ** 3;
  const sync = syncAlways ? "always" : '"2m"';
  return [
    ...lines,
    `jetstream { store_dir: ${store}, max_file_store: ${bytesMax}, sync_interval: ${sync} }`,
  ];
}

function clusterLines(routePorts: readonly number[], own: number): string[] {
  const routes = routePorts.map((port) => `"nats://127.0.0.1:${port}"`).join(", ");
  return [
    `cluster { name: caxton-test, listen: "127.0.0.1:${routePorts[own]}", routes: [${routes}] }`,
  ];
}

/** Until JetStream answers, and in a cluster all its servers are known to its leader. */
async function waitForJetStream(
  servers: readonly NatsServer[],
  { user, password }: NatsServerOptions,
): Promise<void> {
  const login =
    user === undefined ? {} : { user, ...(password === undefined ? {} : { pass: password }) };
  const connection = await connectNats({ servers: servers.map(({ url }) => url), ...login });
  const ends = performance.now() + READY_MS_MAX;
  try {
    for (;;) {
      try {
        const manager = await jetstreamManager(connection, { timeout: 1000 });
        if (servers.length === 1) return;
        // Only where all three take part can a stream of three copies be made.
        await manager.streams.add({
          name: "READY",
          subjects: ["ready"],
          num_replicas: servers.length,
        });
        await manager.streams.delete("READY");
        return;
      } catch (error) {
        if (performance.now() > ends) {
          const logs = servers.map((server) => server.log()).join("\n");
          throw new Error(`JetStream is not ready in time:\n${logs}`, { cause: error });
        }
        await delay(POLL_MS);
      }
    }
  } finally {
    await connection.close();
  }
}

/** However this process ends, the server ends with it: its guard reads from a pipe that we hold. */
function endsWithUs(pid: number | undefined): ChildProcess | undefined {
  if (pid === undefined) return undefined;
  const script = 'cat > /dev/null; kill -9 "$0"';
  return spawn("sh", ["-c", script, String(pid)], { stdio: ["pipe", "ignore", "ignore"] });
}

/** True, too, where the system does not say. */
function isStopped(pid: number | undefined): boolean {
  try {
    const status = readFileSync(`/proc/${pid}/stat`, "utf8");
    return status.slice(status.lastIndexOf(")") + 2).startsWith("T");
  } catch {
    return true;
  }
}
