/** A nats-server beside the server under test, on the other core, for its storage. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

const SCRIPT = join(import.meta.dirname, "../../scripts/nats-server.sh");
const START_MS_MAX = 10_000;
const LOOK_MS = 20;

/** What the servers under test store with: `jetstream` syncs before it acknowledges, `jetstream-fast` does not. */
export const STORAGES = ["embedded", "jetstream", "jetstream-fast"] as const;
export type BenchStorage = (typeof STORAGES)[number];

/** Servers that are started meanwhile store there: they inherit the settings as variables. */
export async function withStorage<T>(
  storage: BenchStorage,
  directory: string,
  run: (natsUrl: string | undefined) => Promise<T>,
): Promise<T> {
  if (storage === "embedded") return run(undefined);
  const isFast = storage === "jetstream-fast";
  const nats = await startNatsServer(join(directory, "nats"), isFast ? "2m" : "always");
  Object.assign(process.env, {
    CAXTON_STORAGE_ENGINE: "jetstream",
    CAXTON_STORAGE_NATS_SERVERS: nats.url,
    CAXTON_STORAGE_NATS_DURABILITY: isFast ? "fast" : "durable",
  });
  try {
    return await run(nats.url);
  } finally {
    await nats.stop();
  }
}

/** It stays on this process's core. */
async function startNatsServer(
  directory: string,
  syncInterval: string,
): Promise<{ url: string; stop(): Promise<void> }> {
  const found = spawnSync("sh", [SCRIPT], {
    stdio: ["ignore", "pipe", "inherit"],
    encoding: "utf8",
  });
  if (found.status !== 0) throw new Error("there is no nats-server to measure with");
  mkdirSync(directory);
  const configuration = join(directory, "nats-server.conf");
  const settings = {
    listen: "127.0.0.1:-1",
    ports_file_dir: directory,
    jetstream: { store_dir: directory, sync_interval: syncInterval, max_file_store: 1024 ** 4 },
  };
  writeFileSync(configuration, JSON.stringify(settings));
  const child = spawn(found.stdout.trim(), ["-c", configuration], { stdio: "ignore" });
  const ended = once(child, "close");
  const written = join(directory, `nats-server_${child.pid!}.ports`);
  for (const giveUpAt = performance.now() + START_MS_MAX; !existsSync(written);) {
    if (performance.now() > giveUpAt) throw new Error(`nats-server wrote no ${written}`);
    await wait(LOOK_MS);
  }
  const { nats } = JSON.parse(readFileSync(written, "utf8")) as { nats: string[] };
  return {
    url: nats[0]!,
    stop: async () => {
      child.kill("SIGKILL");
      await ended;
    },
  };
}
