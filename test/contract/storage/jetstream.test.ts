import type { NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll } from "vitest";
import { connectTo, openReopenable } from "../../storage/jetstream-support.ts";
import { type NatsServer, startNatsServer } from "../../support/nats-servers.ts";
import { storageContract } from "./storage-contract.ts";

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

storageContract("jetstream", () => openReopenable(connection), { writers: "many" });
