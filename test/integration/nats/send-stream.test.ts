/** The stream of sends goes as its messages are done with, and no actor keeps it for itself. */
import { jetstream, type JetStreamClient, jetstreamManager } from "@nats-io/jetstream";
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import type { NatsConnection } from "@nats-io/transport-node";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  connectAs,
  type DoorNode,
  newDirectory,
  startDoorNode,
  startDoorServer,
} from "../../support/door-node.ts";
import type { NatsServer } from "../../support/nats-servers.ts";
import { until } from "../../support/until.ts";

const STREAM = "CAXTON_test_SEND";

let server: NatsServer;
let client: NatsConnection;
let manager: NatsConnection;
let js: JetStreamClient;
let node: DoorNode;
let directory: ReturnType<typeof newDirectory>;

beforeEach(async () => {
  directory = newDirectory();
  server = await startDoorServer();
  client = await connectAs(server, "client");
  manager = await connectAs(server, "node");
  js = jetstream(client);
});

afterEach(async () => {
  await node.stop();
  await client.close();
  await manager.close();
  await server.dispose();
  directory.remove();
});

async function messagesLeft(): Promise<number> {
  const jsm = await jetstreamManager(manager);
  return (await jsm.streams.info(STREAM)).state.messages;
}

async function handled(address: string, sender: string): Promise<string> {
  try {
    const { value } = await node.kernel.actors.getState(address, sender);
    return Buffer.from(value).toString();
  } catch {
    return "";
  }
}

test("what is done with is trimmed, also where most partitions got nothing", async () => {
  node = await startDoorNode({ directory: directory.path, server });
  await node.deploy("sequence");
  for (let n = 1; n <= 20; n++) await js.publish("caxton.v1.send.default.sequence.a", `trim ${n}`);
  await until(async () => (await messagesLeft()) === 0);
  expect(await handled("default/sequence/a", "trim")).toBe("20 20 210 0");
});

test("who waits for long while others fill the stream becomes a dead letter", async () => {
  const sizes = { sendBytesMax: 128 * 1024, sendStuckMs: 300 };
  node = await startDoorNode({ directory: directory.path, server, partitions: 1, sizes });
  await node.deploy("adder");
  await node.deploy("sequence", "{limits: {mailboxMessagesMax: 1}}");
  await node.kernel.agents.suspend("default", "sequence", "to be full");
  const letters: string[] = [];
  const subscription = client.subscribe("caxton.v1.events.dead-letter", {
    callback: (_error, { headers, data }) => {
      letters.push(`${headers?.get("Caxton-Error-Code")} ${Buffer.from(data).toString()}`);
    },
  });
  for (let n = 1; n <= 3; n++) await js.publish("caxton.v1.send.default.sequence.a", `full ${n}`);
  const padding = "0".repeat(1000);
  // More than half of what the stream takes.
  const sent = 80;
  for (let n = 1; n <= sent; n++) {
    await js.publish("caxton.v1.send.default.adder.a", `${padding}1`);
  }
  await until(() => letters.length === 2);
  expect(letters).toEqual(["MAILBOX_FULL full 2", "MAILBOX_FULL full 3"]);
  await until(async () => (await messagesLeft()) === 0);
  const ask = await client.request("caxton.v1.ask.default.adder.a", "0");
  expect(ask.string()).toBe(`${sent} ${sent + 1}`);
  await node.kernel.agents.resume("default", "sequence");
  await until(async () => (await handled("default/sequence/a", "full")) === "1 1 1 0");
  subscription.unsubscribe();
});

test("a stream that was made anew is read from its beginning", async () => {
  node = await startDoorNode({ directory: directory.path, server });
  await node.deploy("sequence");
  for (let n = 1; n <= 5; n++) await js.publish("caxton.v1.send.default.sequence.a", `old ${n}`);
  await until(async () => (await handled("default/sequence/a", "old")) === "5 5 15 0");
  await node.stop();
  const jsm = await jetstreamManager(manager);
  await jsm.streams.delete(STREAM);
  node = await startDoorNode({ directory: directory.path, server });
  for (let n = 1; n <= 3; n++) await js.publish("caxton.v1.send.default.sequence.a", `new ${n}`);
  await until(async () => (await handled("default/sequence/a", "new")) === "3 3 6 0");
});

test("a stream that lost its end and got as many new messages is read from where they begin", async () => {
  const send = async (who: string, from: number, to: number): Promise<void> => {
    for (let n = from; n <= to; n++) {
      await js.publish("caxton.v1.send.default.sequence.a", `${who} ${n}`);
    }
  };
  const data = join(server.directory, "data");
  const earlier = join(server.directory, "earlier");
  node = await startDoorNode({ directory: directory.path, server });
  await node.deploy("sequence");
  await send("old", 1, 3);
  await until(async () => (await handled("default/sequence/a", "old")) === "3 3 6 0");
  await node.stop();
  await server.restart("SIGKILL", () => cp(data, earlier, { recursive: true }));
  node = await startDoorNode({ directory: directory.path, server });
  await send("old", 4, 6);
  await until(async () => (await handled("default/sequence/a", "old")) === "6 6 21 0");
  const lastMs = Date.now();
  await node.stop();
  await server.restart("SIGKILL", async () => {
    await rm(data, { recursive: true });
    await cp(earlier, data, { recursive: true });
    // No machine is back within a second.
    await until(() => Date.now() > lastMs + 1000);
  });
  await client.close();
  client = await connectAs(server, "client");
  js = jetstream(client);
  await send("new", 1, 3);
  node = await startDoorNode({ directory: directory.path, server });
  await until(async () => (await handled("default/sequence/a", "new")) === "3 3 6 0");
  expect(await handled("default/sequence/a", "old")).toBe("6 6 21 0");
});
