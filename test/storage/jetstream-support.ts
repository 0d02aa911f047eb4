/** Storages on nats-servers that the test started. */
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { onTestFinished } from "vitest";
import {
  type JetStreamStorageOptions,
  openJetStreamStorage,
  type Storage,
} from "../../src/storage/index.ts";

let clusters = 0;

/** A name that no other test of the file has. */
export function newCluster(): string {
  return `c${clusters++}`;
}

/** Goes on by itself when the servers are back. */
export async function connectTo(urls: string | string[]): Promise<NatsConnection> {
  const forEver = { maxReconnectAttempts: -1, reconnectTimeWait: 50, waitOnFirstConnect: true };
  const connection = await connect({ servers: urls, ...forEver });
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
