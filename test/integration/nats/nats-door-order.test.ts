/** Messages that wait in the stream: taken in after a stop, after a kill, and when the kernel had no room, in order. */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { headers, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { escapeKey, hashAddressText, partitionOf } from "../../../src/actors/address.ts";
import {
  connectAs,
  type DoorNode,
  newDirectory,
  startDoorNode,
  startDoorServer,
} from "../../support/door-node.ts";
import type { NatsServer } from "../../support/nats-servers.ts";
import { until } from "../../support/until.ts";

const PARTITIONS = 16;
const SEND_STREAM = "CAXTON_test_SEND";
const ACTORS = 40;
/** Publishes not acknowledged yet. */
const UNDER_WAY = 500;

const directory = newDirectory();
let server: NatsServer;
let client: NatsConnection;
let node: DoorNode | undefined;

beforeAll(async () => {
  server = await startDoorServer();
  client = await connectAs(server, "client");
});

afterAll(async () => {
  await client.close();
  await node?.stop();
  await server.dispose();
  directory.remove();
});

async function start(sets: readonly string[] = []): Promise<DoorNode> {
  node = await startDoorNode({ directory: directory.path, server, partitions: PARTITIONS, sets });
  return node;
}

async function stop(): Promise<void> {
  await node?.stop();
  node = undefined;
}

function sumTo(n: number): number {
  return (n * (n + 1)) / 2;
}

/** What `sequence` keeps when it got 1 to n, each once and in order. */
function inOrder(n: number): string {
  return `${n} ${n} ${sumTo(n)} 0`;
}

async function stateOf(address: string, key: string): Promise<string | undefined> {
  try {
    const { value } = await node!.kernel.actors.getState(address, key);
    return Buffer.from(value).toString();
  } catch {
    return undefined;
  }
}

/** Sends `from` to `to` to each of the actors. */
async function publish(
  sender: string,
  actors: number,
  from: number,
  to: number,
  /** Without one the door makes ids. */
  idOf?: (actor: number, n: number) => string,
): Promise<void> {
  const js = jetstream(client);
  let acks: Promise<unknown>[] = [];
  for (let n = from; n <= to; n++) {
    for (let actor = 0; actor < actors; actor++) {
      const options = idOf === undefined ? {} : { headers: headers() };
      options.headers?.set("Nats-Msg-Id", idOf!(actor, n));
      acks.push(js.publish(`caxton.v1.send.default.sequence.${actor}`, `${sender} ${n}`, options));
      if (acks.length < UNDER_WAY) continue;
      await Promise.all(acks);
      acks = [];
    }
  }
  await Promise.all(acks);
}

async function settled(sender: string, actors: number, n: number): Promise<void> {
  for (let actor = 0; actor < actors; actor++) {
    const address = `default/sequence/${actor}`;
    await until(async () => Number((await stateOf(address, sender))?.split(" ")[0]) >= n);
    expect(await stateOf(address, sender)).toBe(inOrder(n));
  }
}

test("the server maps subjects to partitions as the kernel does", async () => {
  await (await start()).deploy("sequence");
  await stop();
  const golden: [string, number][] = [
    ["default/counter/the", 5],
    ["default/echo/a", 10],
    [`shop/cart/${escapeKey("🛒")}`, 0],
  ];
  const manager = await connectAs(server, "node");
  const jsm = await jetstreamManager(manager);
  for (const [address, partition] of golden) {
    const tokens = address.replaceAll("/", ".");
    const { seq } = await jetstream(client).publish(`caxton.v1.send.${tokens}`, "x");
    const stored = await jsm.streams.getMessage(SEND_STREAM, { seq });
    expect(stored?.subject).toBe(`_caxton.test.send.${partition}.${tokens}`);
    expect(partitionOf(hashAddressText(address), PARTITIONS)).toBe(partition);
  }
  await jsm.streams.purge(SEND_STREAM);
  await manager.close();
});

test("a node that stops in the middle loses nothing and does nothing twice", async () => {
  await start();
  const each = 100;
  const publishing = publish("stopped", ACTORS, 1, each);
  for (let i = 0; i < 3; i++) {
    await until(async () => (await stateOf("default/sequence/0", "stopped")) !== undefined);
    await stop();
    await start();
  }
  await publishing;
  await settled("stopped", ACTORS, each);
});

test("a NATS server that is killed in the middle loses nothing and doubles nothing", async () => {
  const js = jetstream(client);
  const each = 150;
  const send = async (actor: number, n: number): Promise<void> => {
    const own = headers();
    own.set("Nats-Msg-Id", `killed-${actor}-${n}`);
    const subject = `caxton.v1.send.default.sequence.${actor}`;
    for (;;) {
      try {
        await js.publish(subject, `killed ${n}`, { headers: own, timeout: 500 });
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  };
  for (let n = 1; n <= each; n++) {
    const sends = Array.from({ length: 8 }, (_, actor) => send(actor, n));
    if (n % 50 === 25) await server.restart();
    await Promise.all(sends);
  }
  await settled("killed", 8, each);
});

test("a full mailbox delays messages and keeps their order", async () => {
  await node!.deploy("sequence", "{limits: {mailboxMessagesMax: 3}}");
  await publish("crowded", 2, 1, 400);
  await settled("crowded", 2, 400);
});

test("messages of changing size keep their order while their agent's quota is spent", async () => {
  await node!.deploy("sequence", "{limits: {messageBytesMax: 4096, mailboxBytesMax: 4096}}");
  const js = jetstream(client);
  const sizes = [1, 1500, 300];
  const acks: Promise<unknown>[] = [];
  for (let n = 1; n <= 300; n++) {
    const padded = String(n).padStart(sizes[n % 3]!, "0");
    acks.push(js.publish("caxton.v1.send.default.sequence.0", `sizes ${padded}`));
  }
  await Promise.all(acks);
  await settled("sizes", 1, 300);
});

test("repeats by the same id count once", async () => {
  await node!.deploy("sequence");
  const idOf = (actor: number, n: number): string => `repeat-${actor}-${n}`;
  await publish("repeated", 4, 1, 50, idOf);
  await publish("repeated", 4, 1, 50, idOf);
  await settled("repeated", 4, 50);
});

test("while the table of ids is full, messages wait in the stream", async () => {
  await stop();
  await start(["limits.clientIdsMax=40", "limits.dedupWindowMs=1000"]);
  await publish("remembered", 4, 1, 60);
  await settled("remembered", 4, 60);
});
