/**
 * The nats-server that leads the log is killed, out of three: how long until something is durable again.
 * Beside it, in the same kill, what NATS itself needs: a plain publisher with a stream of its own, led by the
 * same server. Everything acknowledged must be there once at the end.
 */
import { join } from "node:path";
import { connect } from "@nats-io/transport-node";
import { counterAddress, deployCounter, expectCounts } from "../harness/counter.ts";
import type { NatsServer } from "../harness/nats-server.ts";
import { allCurrent, lead, leaderAnswers, messagesIn } from "../harness/nats-streams.ts";
import { median } from "../harness/percentile.ts";
import { makePlainStream, PLAIN_STREAM, startPlainPublisher } from "../harness/plain-publisher.ts";
import type { Report } from "../harness/report.ts";
import { ServerProcess } from "../harness/server-process.ts";
import { SteadyLoad } from "../harness/steady-load.ts";
import { turnsAtRest } from "../harness/turns.ts";
import { Wire } from "../harness/wire.ts";
import type { FailoverOptions } from "./options.ts";

/** The only one of a node with as many partitions as it has by default. */
const LOG_STREAM = "CAXTON_default_LOG_0";
const NODE_NAME = /^caxton /;
const SERVERS = 3;
const ACTORS = 64;

/** Where the node and the plain publisher are connected: to another server than the one that is killed, or to that. */
const PLACES = ["apart", "connected"] as const;
type Place = (typeof PLACES)[number];

/** Milliseconds from the kill. */
interface Round {
  readonly place: Place;
  readonly caxtonAck: number;
  readonly natsAck: number;
  readonly logLeader: number;
  readonly plainLeader: number;
}

export async function failoverNats(
  options: FailoverOptions,
): Promise<Pick<Report, "figures" | "ratios">> {
  const { directory, nats, perSecond, rounds, say } = options;
  if (nats.length !== SERVERS) throw new Error("takes --storage jetstream or jetstream-fast");
  const server = await ServerProcess.start(join(directory, "data"), ["workers.count=1"]);
  const wire = new Wire(server.endpoint);
  try {
    await deployCounter(wire, "small");
    await withConnection(nats, makePlainStream);
    const load = new SteadyLoad(perSecond, (message) =>
      wire.send(counterAddress(message % ACTORS), new Uint8Array(0), "", `bench-${message}`),
    );
    const measured: Round[] = [];
    let plain = 0;
    for (const place of PLACES) {
      for (let i = 0; i < rounds; i++) {
        const { round, published } = await killLeader(options, load, place, `${place}-${i}`);
        say(`${place}: Caxton ${shown(round.caxtonAck)}, NATS ${shown(round.natsAck)}`);
        measured.push(round);
        plain += published;
      }
    }
    const sent = await load.end();
    await verify(options, wire, sent, plain);
    const { figures, ratios } = result(measured);
    const verified = { verified_messages: sent, verified_nats_messages: plain };
    return { figures: { ...figures, ...verified }, ratios };
  } finally {
    wire.close();
    await server.kill();
  }
}

/** Once more the server is started again afterwards, and has all that it missed. */
async function killLeader(
  { nats, perSecond }: FailoverOptions,
  load: SteadyLoad,
  place: Place,
  name: string,
): Promise<{ round: Round; published: number }> {
  const node = await serverOfNode(nats);
  const others = nats.filter((each) => each !== node);
  const killed = place === "connected" ? node : others[0]!;
  const left = nats.filter((each) => each !== killed);
  const atNode = [node, ...others].map(({ url }) => url);
  const publisher = await startPlainPublisher(atNode, name, perSecond);
  const round = await withConnection(left, async (observer) => {
    await allCurrent(observer);
    for (const stream of [LOG_STREAM, PLAIN_STREAM]) await lead(observer, stream, killed.name);
    await Promise.all([load.nextAck(), publisher.load.nextAck()]);
    const start = performance.now();
    await killed.kill();
    const [caxtonAck, natsAck, logLeader, plainLeader] = await Promise.all(
      [
        load.nextAck(),
        publisher.load.nextAck(),
        leaderAnswers(observer, LOG_STREAM),
        leaderAnswers(observer, PLAIN_STREAM),
      ].map((event) => event.then(() => performance.now() - start)),
    );
    return {
      place,
      caxtonAck: caxtonAck!,
      natsAck: natsAck!,
      logLeader: logLeader!,
      plainLeader: plainLeader!,
    };
  });
  const published = await publisher.end();
  await killed.start();
  return { round, published };
}

/** Which of them the node is connected to. */
async function serverOfNode(nats: readonly NatsServer[]): Promise<NatsServer> {
  for (const server of nats) {
    if ((await server.clientNames()).some((name) => NODE_NAME.test(name))) return server;
  }
  throw new Error("the node is connected to none of the nats-servers");
}

async function verify(
  { nats }: FailoverOptions,
  wire: Wire,
  sent: number,
  published: number,
): Promise<void> {
  await turnsAtRest(wire);
  await expectCounts(wire, ACTORS, (actor) => Math.ceil((sent - actor) / ACTORS));
  const stored = await withConnection(nats, async (observer) => {
    await allCurrent(observer);
    return messagesIn(observer, PLAIN_STREAM);
  });
  if (stored !== published) throw new Error(`${stored} of ${published} plain messages are stored`);
}

async function withConnection<T>(
  servers: readonly NatsServer[],
  work: (connection: Awaited<ReturnType<typeof connect>>) => Promise<T>,
): Promise<T> {
  const connection = await connect({ servers: servers.map(({ url }) => url) });
  try {
    return await work(connection);
  } finally {
    await connection.close();
  }
}

/** An election takes a time drawn at random for each stream: the log's own, and what a publisher needs after one, are the floor. */
function result(rounds: readonly Round[]): Pick<Report, "figures" | "ratios"> {
  const figures: Record<string, number> = {};
  const ratios: Record<string, number> = {};
  for (const place of PLACES) {
    const own = rounds.filter((round) => round.place === place);
    const note = (name: string, of: (round: Round) => number): number => {
      const p50 = median(own.map(of));
      figures[`${place}_${name}_p50_ms`] = p50;
      figures[`${place}_${name}_max_ms`] = Math.max(...own.map(of));
      return p50;
    };
    const caxton = note("caxton_ack", ({ caxtonAck }) => caxtonAck);
    const nats = note("nats_ack", ({ natsAck }) => natsAck);
    note("log_leader", ({ logLeader }) => logLeader);
    note("caxton_after_leader", ({ caxtonAck, logLeader }) => caxtonAck - logLeader);
    const after = note("nats_after_leader", ({ natsAck, plainLeader }) => natsAck - plainLeader);
    ratios[`${place}_caxton_to_nats`] = caxton / nats;
    ratios[`${place}_caxton_to_floor`] = median(
      own.map(({ caxtonAck, logLeader }) => caxtonAck / (logLeader + after)),
    );
  }
  return { figures, ratios };
}

function shown(ms: number): string {
  return `${Math.round(ms)} ms`;
}
