/** A node in a process of its own for one test: all that is opened here ends with the test. */
import { onTestFinished } from "vitest";
import {
  type NatsCluster,
  type NatsServer,
  type NatsServerOptions,
  startNatsCluster,
  startNatsServer,
} from "../../support/nats-servers.ts";
import {
  type ServerOptions,
  type ServerProcess,
  startServerProcess,
} from "../../support/server.ts";
import { fixtureModule, manifest, Wire } from "../../support/wire.ts";

/** As probes give up. */
const PROBE_MS = 1000;

export interface NodeProcess {
  readonly server: ServerProcess;
  readonly wire: Wire;
  /** What it has logged. */
  said(): string[];
  /** Empty when there is no answer in time. */
  readyz(): Promise<string>;
}

/** On JetStream: on the servers of these URLs, or on a nats-server of its own. */
export async function startNode(
  urls: string | readonly string[] | undefined,
  options: ServerOptions = {},
): Promise<NodeProcess> {
  const given = urls === undefined ? [] : [`storage.nats.servers=${[urls].flat().join(",")}`];
  const sets = ["storage.engine=jetstream", ...given, ...(options.sets ?? [])];
  const server = await startServerProcess({ ...options, sets });
  const wire = new Wire(server.endpoint);
  onTestFinished(async () => {
    wire.close();
    await server.dispose();
  });
  return {
    server,
    wire,
    said: () => server.log().map(({ msg }) => String(msg)),
    readyz: () => probe(`http://127.0.0.1:${server.httpPort}/readyz`),
  };
}

async function probe(url: string): Promise<string> {
  try {
    return await (await fetch(url, { signal: AbortSignal.timeout(PROBE_MS) })).text();
  } catch {
    return "";
  }
}

export async function deploy({ wire }: NodeProcess, name: string): Promise<void> {
  await wire.deploy(manifest(name), fixtureModule(name));
}

export async function startNats(options: NatsServerOptions = {}): Promise<NatsServer> {
  const server = await startNatsServer(options);
  onTestFinished(() => server.dispose());
  return server;
}

export async function startCluster(options: NatsServerOptions = {}): Promise<NatsCluster> {
  const cluster = await startNatsCluster(options);
  onTestFinished(() => cluster.dispose());
  return cluster;
}
