/** Servers that are there and yet for a moment are not: leaders that move, a server that stands still. Work just waits. */
import { jetstream } from "@nats-io/jetstream";
import { connect, headers, type NatsConnection } from "@nats-io/transport-node";
import { expect, onTestFinished, test } from "vitest";
import { keepAdding } from "./adding.ts";
import { refusal } from "../../support/wire.ts";
import { deploy, type NodeProcess, startCluster, startNats, startNode } from "./node-process.ts";

const SOON = { timeout: 30_000, interval: 50 };
const STREAMS = ["LOG_0", "SEND", "RECORDS", "EVENTS"].map((name) => `CAXTON_default_${name}`);
/** Left to itself the client library notices after 30 s that nobody sends it messages any more. */
const INTAKE_MS_MAX = 20_000;
const KEYS = ["a", "b", "c", "d"];

async function connectTo(urls: readonly string[]): Promise<NatsConnection> {
  const connection = await connect({ servers: [...urls], maxReconnectAttempts: -1 });
  onTestFinished(() => connection.close());
  return connection;
}

/** Publishes `<key> 1`, `<key> 2` and so on to a sequence, each until it is kept. `stop` resolves with how many. */
function keepPublishing(connection: NatsConnection, key: string) {
  const ending = new AbortController();
  onTestFinished(() => ending.abort());
  const publish = async (n: number): Promise<void> => {
    const options = { timeout: 1000, headers: headers() };
    options.headers.set("Nats-Msg-Id", `${key}-${n}`);
    const subject = `caxton.v1.send.default.sequence.${key}`;
    const attempt = () => jetstream(connection).publish(subject, `${key} ${n}`, options);
    await expect
      .poll(
        () =>
          attempt().then(
            () => true,
            () => false,
          ),
        SOON,
      )
      .toBe(true);
  };
  const publishing = (async () => {
    let kept = 0;
    while (!ending.signal.aborted) await publish(++kept);
    return kept;
  })();
  const stop = (): Promise<number> => {
    ending.abort();
    return publishing;
  };
  return { stop };
}

/** Undefined while there is none. */
async function leaderOf(connection: NatsConnection, stream: string): Promise<string | undefined> {
  const options = { timeout: 500 };
  const answer = await connection
    .request(`$JS.API.STREAM.INFO.${stream}`, "", options)
    .catch(() => undefined);
  return answer?.json<{ cluster?: { leader?: string } }>().cluster?.leader;
}

async function moveLeader(connection: NatsConnection, stream: string): Promise<void> {
  const before = await leaderOf(connection, stream);
  const subject = `$JS.API.STREAM.LEADER.STEPDOWN.${stream}`;
  await connection.request(subject, "", { timeout: 500 }).catch(() => undefined);
  await expect
    .poll(() => leaderOf(connection, stream), SOON)
    .toSatisfy((leader) => leader !== undefined && leader !== before);
}

/** What `sequence` keeps of a sender. */
async function sequenceOf({ wire }: NodeProcess, key: string): Promise<string> {
  const { state } = wire;
  const request = { address: `default/sequence/${key}`, key };
  const { entry } = await wire.call(state.getState.bind(state), request);
  return Buffer.from(entry!.value).toString();
}

/** Those that wait at a consumer are forgotten when it gets another leader. */
async function moveConsumers(connection: NatsConnection, stream: string): Promise<void> {
  const list = await connection.request(`$JS.API.CONSUMER.LIST.${stream}`, "", { timeout: 5000 });
  const { consumers } = list.json<{ consumers: { name: string }[] }>();
  expect(consumers).not.toEqual([]);
  for (const { name } of consumers) {
    const subject = `$JS.API.CONSUMER.LEADER.STEPDOWN.${stream}.${name}`;
    const answer = await connection.request(subject, "", { timeout: 5000 });
    expect(answer.json()).toMatchObject({ success: true });
  }
}

test("the leader of every stream moves amid work: nothing is lost, done twice or out of order", async () => {
  const cluster = await startCluster();
  const node = await startNode(cluster.urls, { sets: ["storage.nats.replicas=3"] });
  await deploy(node, "adder");
  await deploy(node, "sequence");
  const client = await connectTo(cluster.urls);
  const adding = KEYS.map((key) => keepAdding(node.wire, key));
  const publishing = KEYS.map((key) => keepPublishing(client, key));
  for (const stream of STREAMS) await moveLeader(client, stream);
  await moveConsumers(client, "CAXTON_default_SEND");
  const added = await Promise.all(adding.map(({ stop }) => stop()));
  const published = await Promise.all(publishing.map(({ stop }) => stop()));
  for (const [i, key] of KEYS.entries()) {
    const sum = await node.wire.askText(`default/adder/${key}`, "0");
    expect(sum).toBe(`${added[i]!} ${added[i]! + 1}`);
    const kept = published[i]!;
    const inOrder = `${kept} ${kept} ${(kept * (kept + 1)) / 2} 0`;
    const soon = { ...SOON, timeout: INTAKE_MS_MAX };
    await expect.poll(() => sequenceOf(node, key), soon).toBe(inOrder);
  }
});

test("a server stands still for a moment: requests wait, and nobody is told that it is away", async () => {
  const nats = await startNats();
  const node = await startNode(nats.url);
  await deploy(node, "adder");
  const adding = KEYS.map((key) => keepAdding(node.wire, key));
  for (let pauses = 0; pauses < 3; pauses++) {
    const receiver = `default/adder/pause-${pauses}`;
    await node.wire.askText(receiver, "1");
    nats.pause();
    const asked = node.wire.askText(receiver, "1");
    // It asks a server that does not answer.
    const short = node.wire.ask({ receiver: `${receiver}-short`, contentType: "text/plain" }, 300);
    expect((await refusal(short)).detail?.code).toBe("ASK_TIMEOUT");
    nats.resume();
    expect(await asked).toBe("2 2");
  }
  for (const [i, key] of KEYS.entries()) {
    const added = await adding[i]!.stop();
    expect(await node.wire.askText(`default/adder/${key}`, "0")).toBe(`${added} ${added + 1}`);
    expect([...adding[i]!.codes]).toEqual([]);
  }
  expect(node.said().filter((msg) => /away|does not answer/.test(msg))).toEqual([]);
});
