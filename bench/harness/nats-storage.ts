/** What servers under test store with, where that is NATS: one nats-server, or three that hold every message. */
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { type NatsServer, startNatsServers } from "./nats-server.ts";

const READY_MS_MAX = 20_000;
const LOOK_MS = 50;
const API_ANSWER_MS = 1000;

/** What the servers under test store with: `jetstream` syncs before it acknowledges, `jetstream-fast` does not. */
export const STORAGES = ["embedded", "jetstream", "jetstream-fast"] as const;
export type BenchStorage = (typeof STORAGES)[number];

export interface StorageChoice {
  readonly storage: BenchStorage;
  /** nats-servers that hold each message. */
  readonly replicas: number;
}

/** Servers that are started meanwhile store there: they inherit the settings as variables. */
export async function withStorage<T>(
  { storage, replicas }: StorageChoice,
  directory: string,
  run: (servers: readonly NatsServer[]) => Promise<T>,
): Promise<T> {
  if (storage === "embedded") {
    if (replicas > 1) throw new Error("--replicas needs --storage jetstream or jetstream-fast");
    return run([]);
  }
  const isFast = storage === "jetstream-fast";
  const folder = join(directory, "nats");
  const servers = await startNatsServers(replicas, folder, isFast ? "2m" : "always");
  const urls = servers.map(({ url }) => url);
  Object.assign(process.env, {
    CAXTON_STORAGE_ENGINE: "jetstream",
    CAXTON_STORAGE_NATS_SERVERS: urls.join(","),
    CAXTON_STORAGE_NATS_REPLICAS: String(replicas),
    CAXTON_STORAGE_NATS_DURABILITY: isFast ? "fast" : "durable",
  });
  try {
    await canHold(urls, replicas);
    return await run(servers);
  } finally {
    await Promise.all(servers.map((server) => server.kill()));
  }
}

/** Servers on NATS find there what was left by those before them, whatever their directories are. */
export async function emptyStorage(): Promise<void> {
  const servers = process.env["CAXTON_STORAGE_NATS_SERVERS"];
  if (servers === undefined) return;
  const connection = await connect({ servers: servers.split(",") });
  try {
    const { streams } = await jetstreamManager(connection);
    for await (const { config } of streams.list()) await streams.delete(config.name);
  } finally {
    await connection.close();
  }
}

/** Resolves when a stream with so many copies can be made: until then not all servers take part. */
async function canHold(urls: string[], replicas: number): Promise<void> {
  const connection = await connect({ servers: urls });
  const stream = { name: "READY", subjects: ["ready"], num_replicas: replicas };
  try {
    for (const giveUpAt = performance.now() + READY_MS_MAX; ;) {
      try {
        const manager = await jetstreamManager(connection, { timeout: API_ANSWER_MS });
        await manager.streams.add(stream);
        await manager.streams.delete(stream.name);
        return;
      } catch (error) {
        if (performance.now() > giveUpAt) throw error;
        await wait(LOOK_MS);
      }
    }
  } finally {
    await connection.close();
  }
}
