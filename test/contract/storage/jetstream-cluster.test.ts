import type { NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll } from "vitest";
import type { Storage } from "../../../src/storage/index.ts";
import { connectTo, newCluster, openJetStream } from "../../storage/jetstream-support.ts";
import { type NatsCluster, startNatsCluster } from "../../support/nats-servers.ts";
import { storageContract, type StorageUnderTest } from "./storage-contract.ts";

let servers: NatsCluster;
let connection: NatsConnection;

beforeAll(async () => {
  servers = await startNatsCluster();
  connection = await connectTo(servers.urls);
});

afterAll(async () => {
  await connection.close();
  await servers.dispose();
});

const open = async (): Promise<StorageUnderTest> => {
  const cluster = newCluster();
  const openIt = (): Promise<Storage> => openJetStream(connection, { cluster, replicas: 3 });
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
};

storageContract("jetstream, three servers", open, { writers: "many" });
