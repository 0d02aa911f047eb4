/** Topics: clients and agents publish, agents and clients subscribe. */
import { jetstream } from "@nats-io/jetstream";
import { headers, type NatsConnection } from "@nats-io/transport-node";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  connectAs,
  type DoorNode,
  newDirectory,
  startDoorNode,
  startDoorServer,
} from "../../support/door-node.ts";
import type { NatsServer } from "../../support/nats-servers.ts";
import { bytes } from "../../support/wire.ts";
import { until } from "../../support/until.ts";

let directory: ReturnType<typeof newDirectory>;
let server: NatsServer;
let client: NatsConnection;
let node: DoorNode;

beforeEach(async () => {
  directory = newDirectory();
  server = await startDoorServer();
  client = await connectAs(server, "client");
  await start();
});

afterEach(async () => {
  await client.close();
  await node.stop();
  await server.dispose();
  directory.remove();
});

async function start(): Promise<void> {
  node = await startDoorNode({ directory: directory.path, server, partitions: 4 });
}

async function stateOf(agent: string, key: string): Promise<string | undefined> {
  try {
    const { value } = await node.kernel.actors.getState(`default/${agent}/default`, key);
    return Buffer.from(value).toString();
  } catch {
    return undefined;
  }
}

/** What `sequence` keeps when it got 1 to n, each once and in order. */
function inOrder(n: number): string {
  return `${n} ${n} ${(n * (n + 1)) / 2} 0`;
}

async function publish(topic: string, from: number, to: number): Promise<void> {
  const js = jetstream(client);
  for (let n = from; n <= to; n++) await js.publish(`caxton.v1.topic.${topic}`, `feed ${n}`);
}

test("every agent that subscribes gets each message once and in order, others none", async () => {
  await node.deploy("sequence", "{subscribe: [feeds.*]}");
  await node.deploy("adder", '{subscribe: ["numbers.>"]}');
  await publish("feeds.one", 1, 50);
  await publish("feeds", 1, 3);
  await publish("feeds.one.more", 1, 3);
  const js = jetstream(client);
  for (const amount of ["1", "2", "3"]) await js.publish("caxton.v1.topic.numbers.a.b", amount);
  await until(async () => (await stateOf("adder", "total")) === "6 3");
  expect(await stateOf("sequence", "feed")).toBe(inOrder(50));
});

test("two agents of one partition both get it", async () => {
  for (const name of ["adder", "sequence", "echo", "probe"]) {
    await node.deploy(name, "{subscribe: [shared]}");
  }
  const seen = new Set<string>();
  const leave = node.kernel.messages.subscribe({
    filter: {},
    deliver: ({ message }) => {
      if (message.headers["topic"] === "shared") seen.add(message.receiver);
      return true;
    },
    drained: () => Promise.resolve(),
    closed: () => undefined,
  });
  await jetstream(client).publish("caxton.v1.topic.shared", "1 1");
  await until(() => seen.size === 4);
  leave();
});

test("a subscription is durable: what came while no node ran is not missed, nor done twice", async () => {
  await node.deploy("sequence", "{subscribe: [feeds.*]}");
  await publish("feeds.one", 1, 20);
  await until(async () => (await stateOf("sequence", "feed")) === inOrder(20));
  for (let n = 1; n <= 3; n++) {
    await node.stop();
    await publish("feeds.one", n * 20 + 1, (n + 1) * 20);
    await start();
    await until(async () => (await stateOf("sequence", "feed")) === inOrder((n + 1) * 20));
  }
});

test("what agents emit on a topic they publish goes to clients and agents; other topics don't", async () => {
  await node.deploy("probe", "{publish: [numbers.*]}");
  await node.deploy("adder", "{subscribe: [numbers.*]}");
  const topics = client.subscribe("caxton.v1.topic.>", { max: 1 });
  await client.flush();
  const emit = (topic: string): Promise<unknown> =>
    node.kernel.messages.send({
      receiver: "default/probe/x",
      contentType: "text/plain",
      content: bytes(`emit ${topic} 5`),
    });
  await emit("secret");
  await emit("numbers.five");
  await until(async () => (await stateOf("adder", "total")) === "5 1");
  for await (const message of topics) {
    expect(message.subject).toBe("caxton.v1.topic.numbers.five");
    expect(message.headers?.get("Caxton-Sender")).toBe("default/probe/x");
  }
});

test("what a subscriber can't take does not hold up the others", async () => {
  await node.deploy("echo", "{subscribe: [mixed], limits: {messageBytesMax: 4}}");
  await node.deploy("adder", "{subscribe: [mixed]}");
  const letters = client.subscribe("caxton.v1.events.dead-letter", { max: 1 });
  await client.flush();
  await jetstream(client).publish("caxton.v1.topic.mixed", "000007", { headers: headers() });
  await until(async () => (await stateOf("adder", "total")) === "7 1");
  for await (const letter of letters) {
    expect(letter.headers?.get("Caxton-Error-Code")).toBe("MESSAGE_TOO_LARGE");
  }
});
