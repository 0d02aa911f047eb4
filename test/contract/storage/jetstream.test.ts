import type { NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll } from "vitest";
import type { Storage } from "../../../src/storage/index.ts";
import { connectTo, newCluster, openJetStream } from "../../storage/jetstream-support.ts";
import { type NatsServer, startNatsServer } from "../../support/nats-servers.ts";
import { storageContract, type StorageUnderTest } from "./storage-contract.ts";

let server: NatsServer;
let connection: NatsConnection;

beforeAll(async () => {
  server = await startNatsServer();
  connection = await connectTo(server.url);
});

afterAll(async () => {
  await connection.close();
  await server.dispose();
});

const open = async (): Promise<StorageUnderTest> => {
  const cluster = newCluster();
  const openIt = (): Promise<Storage> => openJetStream(connection, { cluster });
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

storageContract("jetstream", open, { writers: "many" });
