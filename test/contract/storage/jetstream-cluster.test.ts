import type { NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll } from "vitest";
import { connectTo, openReopenable } from "../../storage/jetstream-support.ts";
import { type NatsCluster, startNatsCluster } from "../../support/nats-servers.ts";
import { storageContract } from "./storage-contract.ts";

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

storageContract("jetstream, three servers", () => openReopenable(connection, { replicas: 3 }), {
  writers: "many",
});
