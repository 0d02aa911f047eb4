/** Storages on nats-servers that the test started. */
import { setTimeout as delay } from "node:timers/promises";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, onTestFinished } from "vitest";
import {
  type JetStreamStorageOptions,
  openJetStreamStorage,
  type Storage,
} from "../../src/storage/index.ts";
import {
  type NatsCluster,
  type NatsServer,
  type NatsServerOptions,
  startNatsCluster,
  startNatsServer,
} from "../support/nats-servers.ts";
import { collect } from "./support.ts";
import type { SmallLog } from "../contract/storage/full-contract.ts";
import type { StorageUnderTest } from "../contract/storage/storage-contract.ts";

let clusters = 0;

/** A name that no other test of the file has. */
export function newCluster(): string {
  return `c${clusters++}`;
}

/** Goes on by itself when the servers are back. */
export function connectTo(urls: string | string[]): Promise<NatsConnection> {
  const forEver = { maxReconnectAttempts: -1, reconnectTimeWait: 50, waitOnFirstConnect: true };
  return connect({ servers: urls, ...forEver });
}

/** A server and a connection to it, for all tests of the file that asks. */
export async function serverForFile(
  options: NatsServerOptions = {},
): Promise<{ server: NatsServer; connection: NatsConnection }> {
  const server = await startNatsServer(options);
  return { server, connection: await connectionForFile(server, server.url) };
}

/** The same with three servers. */
export async function clusterForFile(): Promise<{
  servers: NatsCluster;
  connection: NatsConnection;
}> {
  const servers = await startNatsCluster();
  return { servers, connection: await connectionForFile(servers, servers.urls) };
}

async function connectionForFile(
  servers: NatsServer | NatsCluster,
  urls: string | string[],
): Promise<NatsConnection> {
  const connection = await connectTo(urls);
  afterAll(async () => {
    await connection.close();
    await servers.dispose();
  });
  return connection;
}

/** Closed when the test ends. */
export async function openJetStream(
  connection: NatsConnection,
  options: Partial<JetStreamStorageOptions> = {},
): Promise<Storage> {
  const storage = await openJetStreamStorage({
    connection,
    cluster: newCluster(),
    partitions: 16,
    replicas: 1,
    durability: "durable",
    sizeBytesMax: 1024 * 1024,
    ...options,
  });
  onTestFinished(() => storage.close().catch(() => undefined));
  return storage;
}

/** A writer as the kernel is one: it sends a frame again until it knows what became of it. */
export class PersistentWriter {
  readonly #storage: Storage;
  readonly #partition: number;
  #last: number;
  /** Outcomes that were not known at once. */
  unknowns = 0;

  constructor(storage: Storage, partition: number, last = 0) {
    this.#storage = storage;
    this.#partition = partition;
    this.#last = last;
  }

  async append(frame: Uint8Array): Promise<number> {
    const { log } = this.#storage;
    for (;;) {
      const outcome = await log.append(this.#partition, this.#last, frame, 1);
      if (outcome.kind === "acked") return (this.#last = outcome.sequence);
      if (outcome.kind === "unknown") this.unknowns++;
      if (outcome.kind === "refused" && outcome.lastSequence > this.#last) {
        const [own] = await collect(log.scan(this.#partition, this.#last + 1));
        if (own === undefined || Buffer.compare(own.frame, frame) !== 0) {
          throw new Error(`another frame is at ${this.#last + 1}`);
        }
        return (this.#last = own.sequence);
      }
      // A server that is just gone says so at once.
      await delay(20);
    }
  }
}

/** For the contract: a storage in a cluster of its own, which can be opened again, also beside itself. */
export async function openReopenable(
  connection: NatsConnection,
  options: Partial<JetStreamStorageOptions> = {},
): Promise<Required<StorageUnderTest>> {
  const cluster = newCluster();
  const openIt = (): Promise<Storage> => openJetStream(connection, { ...options, cluster });
  let storage = await openIt();
  return {
    storage,
    reopen: async () => {
      await storage.close();
      storage = await openIt();
      return storage;
    },
    another: openIt,
  };
}

const SMALL_LOG_BYTES = 512 * 1024;

export function smallLog(
  connection: NatsConnection,
  options: Partial<JetStreamStorageOptions> = {},
): SmallLog {
  return {
    open: () => openReopenable(connection, { ...options, sizeBytesMax: SMALL_LOG_BYTES }),
    frameBytes: 20_000,
    checkpointBytes: 2000,
    begunBytes: 2000,
    restBytes: SMALL_LOG_BYTES / 128,
    trimmedShareMax: 0.1,
  };
}
