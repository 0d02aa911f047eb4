/** Counters on a single node of Restate with all cores, in the configuration it ships with, over its HTTP ingress. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { promisify } from "node:util";
import { withChild } from "./child.ts";
import type { CounterServer } from "./counter-server.ts";
import { httpRequest } from "./http-connection.ts";
import { allCores, onServerCores } from "./pinning.ts";

const SERVICE = join(import.meta.dirname, "../restate/main.ts");
const READY_TIMEOUT_MS = 60_000;
/** Settings that say what a figure means, in the order of the dump. */
const SHOWN =
  /^(default-num-partitions|default-replication|default-provider|rocksdb-disable-wal-fsync|concurrent-invocations-limit) = .*$/gm;

interface Endpoints {
  readonly ingress: string;
  readonly admin: string;
}

interface LogLine {
  readonly span?: { readonly server_name?: string; readonly "server.port"?: number };
}

export async function withRestateCounters<T>(
  directory: string,
  packages: string,
  work: (server: CounterServer) => Promise<T>,
): Promise<T> {
  const node = `@restatedev/restate-server-${process.platform}-${process.arch}`;
  const program = createRequire(join(packages, "package.json")).resolve(
    `${node}/bin/restate-server`,
  );
  const config = `${directory}.toml`;
  await writeFile(config, configFile(directory));
  const configuration = await configurationOf(program, config);
  return withChild(
    [SERVICE, packages],
    (service) =>
      withNode([program, "--config-file", config, "--no-logo"], async ({ ingress, admin }) => {
        await register(admin, service.ready);
        return work({
          endpoint: ingress,
          configuration,
          add: (counter) => request(counter, "add"),
          read: (counter) => request(counter, "read"),
          start: (visits) => request("starter", "start", JSON.stringify(visits)),
          countIn: (answer) => Number(answer.toString()),
          handled: async () => Number(await service.ask("handled")),
        });
      }),
    allCores,
  );
}

/** Where it listens, and that it tells nobody and writes few lines: nothing that slows it. */
function configFile(directory: string): string {
  return `
base-dir = ${JSON.stringify(directory)}
node-name = "bench"
bind-ip = "127.0.0.1"
listen-mode = "tcp"
use-random-ports = true
disable-telemetry = true
log-format = "json"
log-filter = "warn,restate_core::network::net_util=info,restate_ingress_http=info"
`;
}

async function configurationOf(program: string, config: string): Promise<string> {
  const dump = [program, "--config-file", config, "--dump-config"] as const;
  const { stdout } = await promisify(execFile)(dump[0], dump.slice(1));
  const shown = new Set([...stdout.matchAll(SHOWN)].map(([line]) => line.replace(" = ", "=")));
  return ["as shipped", ...shown].join(", ");
}

async function withNode<T>(
  command: readonly string[],
  work: (endpoints: Endpoints) => Promise<T>,
): Promise<T> {
  const [program, ...args] = onServerCores(command, allCores);
  const child = spawn(program!, args, { stdio: ["ignore", "pipe", "ignore"] });
  const ended = once(child, "close");
  try {
    return await work(await endpointsIn(createInterface(child.stdout)));
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
}

/** It takes free ports, and says in its log which. */
function endpointsIn(log: Interface): Promise<Endpoints> {
  const ports = new Map<string, number>();
  return new Promise((resolve, reject) => {
    const said: string[] = [];
    const fail = (): void => {
      reject(new Error(`Restate's server was not ready:\n${said.slice(-20).join("\n")}`));
    };
    const timeout = setTimeout(fail, READY_TIMEOUT_MS);
    log.on("close", fail).on("line", (line) => {
      said.push(line);
      const { span } = JSON.parse(line) as LogLine;
      ports.set(span?.server_name ?? "", span?.["server.port"] ?? 0);
      const ingress = ports.get("http-ingress-server");
      const admin = ports.get("admin-api-server");
      if (ingress === undefined || admin === undefined) return;
      clearTimeout(timeout);
      resolve({ ingress: `127.0.0.1:${ingress}`, admin: `127.0.0.1:${admin}` });
    });
  });
}

async function register(admin: string, servicePort: string): Promise<void> {
  const answer = await fetch(`http://${admin}/deployments`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ uri: `http://127.0.0.1:${servicePort}` }),
  });
  if (!answer.ok) throw new Error(`Restate refused the service: ${await answer.text()}`);
}

function request(counter: string, handler: string, json = ""): Buffer {
  return httpRequest("POST", `/counter/${counter}/${handler}`, json);
}
