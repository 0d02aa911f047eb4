/** What agents emit reaches NATS clients at least once, whatever stops in between. */
import { jetstream, jetstreamManager, type JetStreamManager } from "@nats-io/jetstream";
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
import { bytes } from "../../support/wire.ts";
import { until } from "../../support/until.ts";

const EVENT_STREAM = "CAXTON_test_EVENTS";
const ACTORS = 8;

let directory: ReturnType<typeof newDirectory>;
let server: NatsServer;
let reader: NatsConnection;
let jsm: JetStreamManager;
let node: DoorNode;

async function start(): Promise<void> {
  node = await startDoorNode({
    directory: directory.path,
    server,
    partitions: 4,
  });
}

beforeEach(async () => {
  directory = newDirectory();
  server = await startDoorServer();
  reader = await connectAs(server, "node");
  jsm = await jetstreamManager(reader, { timeout: 500 });
  await start();
  await node.deploy("probe");
});

afterEach(async () => {
  await reader.close();
  await node.stop();
  await server.dispose();
  directory.remove();
});

function emit(actor: number, topic: string, content: string): Promise<unknown> {
  const text = bytes(`emit ${topic} ${content}`);
  const receiver = `default/probe/${actor}`;
  return node.kernel.messages.send({ receiver, contentType: "text/plain", content: text });
}

interface Seen {
  readonly subject: string;
  readonly topic: string;
  readonly id: string;
  readonly content: string;
}

/** Everything in the stream, as soon as there are so many. */
async function events(count: number): Promise<Seen[]> {
  await until(async () => {
    // The server may have come back a moment ago.
    const info = await jsm.streams.info(EVENT_STREAM).catch(() => undefined);
    return (info?.state.messages ?? 0) >= count;
  });
  const consumer = await jetstream(reader).consumers.get(EVENT_STREAM, {
    filter_subjects: "caxton.v1.events.>",
  });
  const seen: Seen[] = [];
  for await (const message of await consumer.fetch({ max_messages: count })) {
    const { subject, headers } = message;
    const topic = headers?.get("Caxton-Topic") ?? "";
    seen.push({ subject, topic, id: headers?.get("Nats-Msg-Id") ?? "", content: message.string() });
    if (seen.length === count) break;
  }
  return seen;
}

function contentsOf(seen: readonly Seen[], actor: number): string[] {
  return seen
    .filter(({ subject }) => subject === `caxton.v1.events.default.probe.${actor}`)
    .map(({ content }) => content);
}

test("an event is published under its agent's subject, in order for each actor", async () => {
  for (let n = 0; n < 10; n++) {
    await Promise.all(
      Array.from({ length: ACTORS }, (_, actor) => emit(actor, "counted", `n${n}`)),
    );
  }
  const seen = await events(ACTORS * 10);
  expect(new Set(seen.map(({ id }) => id)).size).toBe(ACTORS * 10);
  expect(new Set(seen.map(({ topic }) => topic))).toEqual(new Set(["counted"]));
  const wanted = Array.from({ length: 10 }, (_, n) => `n${n}`);
  for (let actor = 0; actor < ACTORS; actor++) expect(contentsOf(seen, actor)).toEqual(wanted);
});

test("events of a message that waited for an open handler keep their address", async () => {
  await node.kernel.messages.send({
    receiver: "default/probe/0",
    contentType: "text/plain",
    content: bytes("wait 1 500"),
  });
  // Each is durable in a frame of its own before the handler ends.
  for (let n = 0; n < 10; n++) await emit(0, "late", `n${n}`);
  const seen = await events(10);
  expect(contentsOf(seen, 0)).toEqual(Array.from({ length: 10 }, (_, n) => `n${n}`));
});

test("what was emitted while NATS was away is published when it is back", async () => {
  await emit(1, "before", "a");
  await events(1);
  await server.kill();
  for (let n = 0; n < 20; n++) await emit(1, "while", `n${n}`);
  await server.start();
  const seen = await events(21);
  expect(contentsOf(seen, 1)).toEqual(["a", ...Array.from({ length: 20 }, (_, n) => `n${n}`)]);
});

test("what was emitted and not published before a stop is published after the next start", async () => {
  await emit(2, "first", "a");
  await events(1);
  await server.kill();
  for (let n = 0; n < 20; n++) await emit(2, "unpublished", `n${n}`);
  await node.stop();
  await server.start();
  await start();
  const seen = await events(21);
  expect(contentsOf(seen, 2)).toEqual(["a", ...Array.from({ length: 20 }, (_, n) => `n${n}`)]);
});

test("a start publishes nothing again that the record says was published", async () => {
  for (let n = 0; n < 20; n++) await emit(3, "once", `n${n}`);
  await events(20);
  await node.stop();
  // JetStream forgets the ids with the messages' stream: a second copy would be kept.
  await jsm.streams.delete(EVENT_STREAM);
  await start();
  await emit(3, "once", "last");
  expect((await events(1)).map(({ content }) => content)).toEqual(["last"]);
});
