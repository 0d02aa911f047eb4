/**
 * The same durable counters on a server of ours and on Restate, one after the other on all cores, with the same client
 * over HTTP: counters that send to counters, and clients that ask them. Every count is read at the end.
 */
import { join } from "node:path";
import { withCaxtonCounters } from "../harness/caxton-counters.ts";
import { CounterRing } from "../harness/counter-ring.ts";
import type { CounterServer } from "../harness/counter-server.ts";
import { HttpConnection } from "../harness/http-connection.ts";
import { atOnce, type Call } from "../harness/latency.ts";
import { percentile } from "../harness/percentile.ts";
import type { Report } from "../harness/report.ts";
import { withRestateCounters } from "../harness/restate-counters.ts";
import { restatePackages, SDK_VERSION, SERVER_VERSION } from "../harness/restate-packages.ts";
import type { PeerOptions, ScenarioOptions } from "./options.ts";

/** Asks at a time. */
const ASKS = [1, 64, 256] as const;
const COUNTERS_PER_LANE = 16;
/** Of the time measured, before it. */
const WARM_UP_SHARE = 0.5;

/** Messages in flight between counters. */
const IN_FLIGHT = [64, 1000, 4000] as const;
/** A run that took that much of the time asked for is measured; one that took less tells how long the next has to be. */
const ENOUGH_SHARE = 0.7;
const GROWTH_MAX = 16;

const CONNECTIONS = 64;

export interface CounterFigures {
  readonly figures: Readonly<Record<string, number>>;
  readonly configuration: string;
}

export async function peerRestate(options: PeerOptions): Promise<Omit<Report, "scenario">> {
  const { directory, cache, say } = options;
  const packages = await restatePackages(cache, say);
  say("Caxton");
  const caxton = await withCaxtonCounters(join(directory, "caxton"), (server) =>
    measureCounters(server, options),
  );
  say("Restate");
  const restate = await withRestateCounters(join(directory, "restate"), packages, (server) =>
    measureCounters(server, options),
  );
  const figures = { ...named("caxton", caxton.figures), ...named("restate", restate.figures) };
  const ratio = (name: string): number => caxton.figures[name]! / restate.figures[name]!;
  return {
    figures,
    ratios: {
      sends_of_restate: ratio("sends_per_second_best"),
      asks_of_restate: ratio("asks_per_second_best"),
      ask_p50_to_restate_at_1: ratio("ask_p50_ms_at_1"),
      ask_p50_to_restate_at_64: ratio("ask_p50_ms_at_64"),
    },
    environment: {
      server_pinned_to_one_core: "no: both have all cores",
      caxton: caxton.configuration,
      restate: restate.configuration,
      restate_version: `server ${SERVER_VERSION}, SDK ${SDK_VERSION}`,
    },
  };
}

function named(side: string, figures: CounterFigures["figures"]): Record<string, number> {
  const entries = Object.entries(figures);
  return Object.fromEntries(entries.map(([name, value]) => [`${side}_${name}`, value]));
}

/** Either side's, whichever server it is. */
export async function measureCounters(
  server: CounterServer,
  options: ScenarioOptions,
): Promise<CounterFigures> {
  const connections = await Promise.all(
    Array.from({ length: Math.max(...ASKS) }, () => HttpConnection.open(server.endpoint)),
  );
  const asks = await measureAsks(server, connections, options);
  const sends = await measureSends(server, connections.slice(0, CONNECTIONS), options);
  for (const connection of connections) connection.close();
  return { figures: { ...sends, ...asks }, configuration: server.configuration };
}

async function measureAsks(
  server: CounterServer,
  connections: readonly HttpConnection[],
  { seconds, say }: ScenarioOptions,
): Promise<Record<string, number>> {
  const lanes = connections.map((connection, lane) => counting(server, connection, lane));
  return atEach(ASKS, "asks_per_second", async (concurrency) => {
    say(`${concurrency} asks at a time`);
    await atOnce(seconds * WARM_UP_SHARE, lanes.slice(0, concurrency));
    const { samplesMs, perSecond } = await atOnce(seconds, lanes.slice(0, concurrency));
    return {
      ask_p50_ms: percentile(samplesMs, 0.5),
      ask_p99_ms: percentile(samplesMs, 0.99),
      asks_per_second: perSecond,
    };
  });
}

/** What is measured at each level, and the best of the rates. */
async function atEach(
  levels: readonly number[],
  rate: string,
  measure: (level: number) => Promise<Record<string, number>>,
): Promise<Record<string, number>> {
  const figures: Record<string, number> = {};
  for (const level of levels) {
    const measured = await measure(level);
    for (const [name, value] of Object.entries(measured)) figures[`${name}_at_${level}`] = value;
  }
  const best = Math.max(...levels.map((level) => figures[`${rate}_at_${level}`]!));
  return { ...figures, [`${rate}_best`]: best };
}

/** Asks counters of its own in turn; each answer has to be one more than the last. */
function counting(server: CounterServer, connection: HttpConnection, lane: number): Call {
  const counters = Array.from({ length: COUNTERS_PER_LANE }, (_, i) => ({
    request: server.add(`lane-${lane}-${i}`),
    count: 0,
  }));
  let asks = 0;
  return async () => {
    const counter = counters[asks++ % COUNTERS_PER_LANE]!;
    const count = server.countIn(await connection.request(counter.request));
    if (count !== ++counter.count) throw new Error(`counted ${count}, not ${counter.count}`);
  };
}

async function measureSends(
  server: CounterServer,
  connections: readonly HttpConnection[],
  { seconds, say }: ScenarioOptions,
): Promise<Record<string, number>> {
  const ring = new CounterRing(server, connections);
  const figures = await atEach(IN_FLIGHT, "sends_per_second", async (inFlight) => {
    say(`${inFlight} sends in flight`);
    return { sends_per_second: await sendsPerSecond(ring, inFlight, seconds) };
  });
  say("reading every count");
  return { ...figures, verified_sends: await ring.verify() };
}

/** The runs before the one that is long enough warm up. */
async function sendsPerSecond(
  ring: CounterRing,
  inFlight: number,
  seconds: number,
): Promise<number> {
  for (let visits = 1; ;) {
    const start = performance.now();
    await ring.run(inFlight, visits);
    const elapsed = (performance.now() - start) / 1000;
    if (elapsed >= seconds * ENOUGH_SHARE) return (inFlight * visits) / elapsed;
    visits = Math.ceil(visits * Math.min(GROWTH_MAX, seconds / elapsed));
  }
}
