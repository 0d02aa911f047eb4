/**
 * A plain NATS client and nothing of ours: messages published to the actors until all are handled, and requests to
 * the NATS service. What was handled is counted by the actors, and every reply compared.
 */
import { join } from "node:path";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { type Child, withChild } from "../harness/child.ts";
import { atOnce, inTurn } from "../harness/latency.ts";
import { cpuSecondsOfServers } from "../harness/nats-server.ts";
import { storedIn, streamOf } from "../harness/nats-streams.ts";
import { percentile } from "../harness/percentile.ts";
import { cpuSecondsOf, mainThreadCpuSecondsOf } from "../harness/process-stat.ts";
import type { Report } from "../harness/report.ts";
import { askRing, deployRing, ringAddress } from "../harness/ring.ts";
import { ServerProcess } from "../harness/server-process.ts";
import { turnsDone, turnsOf } from "../harness/turns.ts";
import { Wire } from "../harness/wire.ts";
import type { NativeOptions } from "./options.ts";

const PUBLISHER = join(import.meta.dirname, "../native-publisher/main.ts");
const AGENT = ringAddress(0).split("/").slice(0, 2).join(".");
const ACTORS = 1000;
const WARM_UP_MESSAGES_MAX = 20_000;
/** Of the plain messages: each of these asks what became of it. */
const ACKED_SHARE = 1 / 4;
/** What the agent needs to find in one. */
const PAYLOAD_BYTES_MIN = 40;
/** Of those that wait; the stream takes no more than 256 MiB. */
const WAITING_BYTES_MAX = 200 * 1024 * 1024;
const ENVELOPE_BYTES = 100;
const WARM_UP_ASKS = 500;
const ASKS = 2000;
const LANES = 64;
const ASK_TIMEOUT_MS = 10_000;

interface Parts extends NativeOptions {
  readonly server: ServerProcess;
  readonly wire: Wire;
  readonly client: NatsConnection;
}

export async function native(options: NativeOptions): Promise<Pick<Report, "figures" | "ratios">> {
  const { directory, nats, messages, payloadBytes } = options;
  check(options);
  const server = await ServerProcess.start(join(directory, "data"), ["workers.count=1"]);
  const wire = new Wire(server.endpoint);
  const servers = nats.map(({ url }) => url);
  const client = await connect({ servers });
  try {
    await deployRing(wire, "c", "durable");
    const parts = { ...options, server, wire, client };
    const publisher = [PUBLISHER, `caxton.v1.send.${AGENT}`, String(ACTORS), ...servers];
    const sends = await withChild(publisher, (child) => measureSends(parts, child), 0);
    const asks = await measureAsks(parts);
    const ratio = sends["handled_per_second"]! / sends["published_per_second"]!;
    const figures = { messages, payload_bytes: payloadBytes, ...sends, ...asks };
    return { figures, ratios: { handled_of_published: ratio } };
  } finally {
    await client.close();
    wire.close();
    await server.kill();
  }
}

function check({ nats, messages, payloadBytes }: NativeOptions): void {
  if (nats.length === 0) throw new Error("NATS clients need --storage jetstream or jetstream-fast");
  if (payloadBytes < PAYLOAD_BYTES_MIN) {
    throw new Error(`--payload-bytes has to be ${PAYLOAD_BYTES_MIN} at least`);
  }
  if (messages * (payloadBytes + ENVELOPE_BYTES) > WAITING_BYTES_MAX) {
    throw new Error(`so many messages of ${payloadBytes} bytes may not fit into the stream`);
  }
}

async function measureSends(parts: Parts, publisher: Child): Promise<Record<string, number>> {
  const { messages, say, wire, client } = parts;
  const stream = await streamOf(client, `caxton.v1.send.${AGENT}.0`);
  const before = await storedIn(client, stream);
  const warmUp = Math.min(messages, WARM_UP_MESSAGES_MAX);
  say("warming up");
  await publish(parts, publisher, "plain", warmUp);
  say(`${messages} messages`);
  const plain = await publish(parts, publisher, "plain", messages);
  const ackedMessages = Math.ceil(messages * ACKED_SHARE);
  say(`${ackedMessages} messages, each acknowledged`);
  const acked = await publish(parts, publisher, "acked", ackedMessages);
  const sent = warmUp + messages + ackedMessages;
  const stored = (await storedIn(client, stream)) - before;
  if (stored !== sent) throw new Error(`${stored} messages were stored, ${sent} were published`);
  const { total, kept } = await askRing(wire, ACTORS);
  if (total !== sent || kept !== sent) {
    throw new Error(`the actors counted ${total} messages, ${sent} were published`);
  }
  return {
    ...plain,
    acked_published_per_second: acked.published_per_second,
    acked_handled_per_second: acked.handled_per_second,
    verified_messages: sent,
  };
}

async function publish(
  { wire, server, nats, payloadBytes }: Parts,
  publisher: Child,
  mode: "plain" | "acked",
  messages: number,
) {
  const cpu = (): readonly number[] => [
    cpuSecondsOf(publisher.pid),
    cpuSecondsOfServers(nats),
    server.cpuSeconds(),
    mainThreadCpuSecondsOf(server.pid),
  ];
  const turns = await turnsOf(wire);
  const cpuBefore = cpu();
  const start = performance.now();
  const publishedMs = Number(await publisher.ask(`${mode} ${messages} ${payloadBytes}`));
  await turnsDone(wire, turns + messages);
  const handledMs = performance.now() - start;
  const used = cpu().map((seconds, i) => ((seconds - cpuBefore[i]!) * 1e6) / messages);
  if ((await turnsOf(wire)) !== turns + messages) throw new Error("more turns than messages");
  return {
    published_per_second: messages / (publishedMs / 1000),
    handled_per_second: messages / (handledMs / 1000),
    publisher_cpu_us_per_message: used[0]!,
    nats_server_cpu_us_per_message: used[1]!,
    caxton_cpu_us_per_message: used[2]!,
    caxton_main_thread_cpu_us_per_message: used[3]!,
  };
}

async function measureAsks(parts: Parts): Promise<Record<string, number>> {
  const { client, say, seconds, payloadBytes } = parts;
  const content = Buffer.alloc(payloadBytes, 7);
  let actor = 0;
  const ask = async (): Promise<void> => {
    const subject = `caxton.v1.ask.${AGENT}.${actor++ % ACTORS}`;
    const reply = await client.request(subject, content, { timeout: ASK_TIMEOUT_MS });
    if (!content.equals(reply.data)) throw new Error("the reply is not what was asked");
  };
  say("asks");
  await inTurn(WARM_UP_ASKS, ask);
  const asks = await inTurn(ASKS, ask);
  const lanes = Array.from({ length: LANES }, () => ask);
  const many = await atOnce(seconds, lanes);
  return {
    ask_p50_ms: percentile(asks, 0.5),
    ask_p99_ms: percentile(asks, 0.99),
    [`ask_p50_ms_at_${LANES}`]: percentile(many.samplesMs, 0.5),
    [`asks_per_second_at_${LANES}`]: many.perSecond,
  };
}
