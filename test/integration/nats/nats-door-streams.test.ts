/** The door's streams beside those of others. */
import { jetstreamManager, type JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CaxtonError } from "../../../src/base/errors.ts";
import {
  connectAs,
  newDirectory,
  startDoorNode,
  startDoorServer,
} from "../../support/door-node.ts";
import type { NatsServer } from "../../support/nats-servers.ts";

let server: NatsServer;
let connection: NatsConnection;
let jsm: JetStreamManager;
let directory: ReturnType<typeof newDirectory>;

beforeEach(async () => {
  directory = newDirectory();
  server = await startDoorServer();
  connection = await connectAs(server, "node");
  jsm = await jetstreamManager(connection);
});

afterEach(async () => {
  await connection.close();
  await server.dispose();
  directory.remove();
});

async function startRefused(): Promise<CaxtonError> {
  try {
    await (await startDoorNode({ directory: directory.path, server })).stop();
  } catch (error) {
    if (error instanceof CaxtonError) return error;
    throw error;
  }
  throw new Error("the start was not refused");
}

test("another application's stream on our subjects is refused and left alone", async () => {
  await jsm.streams.add({ name: "THEIRS", subjects: ["caxton.v1.send.>"] });
  const error = await startRefused();
  expect(error.code).toBe("STORAGE_LAYOUT");
  expect(error.message).toContain("caxton.v1.send.*.*.*");
  expect((await jsm.streams.info("THEIRS")).config.subjects).toEqual(["caxton.v1.send.>"]);
});

test("a stream of our name that is not ours is refused and left alone", async () => {
  await jsm.streams.add({ name: "CAXTON_test_EVENTS", subjects: ["theirs.>"] });
  const error = await startRefused();
  expect(error.code).toBe("STORAGE_LAYOUT");
  expect(error.message).toContain("CAXTON_test_EVENTS");
  expect((await jsm.streams.info("CAXTON_test_EVENTS")).config.subjects).toEqual(["theirs.>"]);
});

test("a second start finds what the first one made; more partitions are mapped anew", async () => {
  await (await startDoorNode({ directory: directory.path, server, partitions: 4 })).stop();
  const before = await jsm.streams.info("CAXTON_test_SEND");
  await (await startDoorNode({ directory: directory.path, server, partitions: 4 })).stop();
  expect((await jsm.streams.info("CAXTON_test_SEND")).created).toBe(before.created);
  const other = newDirectory();
  await (await startDoorNode({ directory: other.path, server, partitions: 8 })).stop();
  other.remove();
  const after = await jsm.streams.info("CAXTON_test_SEND");
  expect(after.created).toBe(before.created);
  expect(after.config.subject_transform?.dest).toContain("partition(8,1,2,3)");
});
