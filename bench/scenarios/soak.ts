/**
 * Half of what the server can do, for long: whether memory, response times and disk stay what they were.
 * Clients ask; each ask leads to visits of more actors, so that most messages are between actors.
 */
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { counterAddress, deployCounter, expectCounts, visits } from "../harness/counter.ts";
import { openLoop } from "../harness/open-loop.ts";
import { median, percentile } from "../harness/percentile.ts";
import type { Report } from "../harness/report.ts";
import { ServerProcess } from "../harness/server-process.ts";
import { turnsDone, turnsOf } from "../harness/turns.ts";
import { Wire } from "../harness/wire.ts";
import type { SoakOptions } from "./options.ts";

/** The measured time has so many windows; one more before it warms up. */
const WINDOWS = 10;
const SAMPLES_PER_WINDOW = 20;
const CAPACITY_SECONDS_MIN = 2;
const LOAD_SHARE = 0.5;
const CONCURRENT_ASKS = 64;

interface Window {
  readonly latenciesMs: number[];
  readonly rssMb: number[];
  readonly diskBytes: number[];
}

export async function soak(options: SoakOptions): Promise<Pick<Report, "figures" | "ratios">> {
  const { directory, seconds, say } = options;
  const server = await ServerProcess.start(join(directory, "data"), ["workers.count=1"]);
  const wire = new Wire(server.endpoint);
  try {
    await deployCounter(wire, "small");
    const load = new VisitingLoad(wire, options);
    const windowSeconds = seconds / WINDOWS;
    say("what the server can do");
    const capacitySeconds = Math.max(windowSeconds, CAPACITY_SECONDS_MIN);
    const capacity = await turnsPerSecond(wire, load, capacitySeconds);
    await load.isDone();
    const perSecond = (capacity * LOAD_SHARE) / options.visits;
    say(`${Math.round(perSecond)} asks a second for ${Math.round(seconds + windowSeconds)} s`);
    const [, ...windows] = await observed(server, wire, load, perSecond, windowSeconds);
    await load.isDone();
    say("reading every count");
    await load.verify();
    return result(windows, {
      capacity_turns_per_second: capacity,
      turns_per_second: perSecond * options.visits,
      asks_per_second: perSecond,
      verified_messages: load.messages,
      verified_actors: options.actors,
    });
  } finally {
    wire.close();
    await server.kill();
  }
}

/** Asks actor after actor, and knows what all of them must have counted. */
class VisitingLoad {
  readonly #wire: Wire;
  readonly #actors: number;
  readonly #visits: number;
  readonly #content: Uint8Array;
  #asks = 0;

  constructor(wire: Wire, { actors, visits: number }: SoakOptions) {
    this.#wire = wire;
    this.#actors = actors;
    this.#visits = number;
    this.#content = visits(number, actors);
  }

  get messages(): number {
    return this.#asks * this.#visits;
  }

  async ask(): Promise<void> {
    await this.#wire.ask(counterAddress(this.#asks++ % this.#actors), this.#content);
  }

  async isDone(): Promise<void> {
    await turnsDone(this.#wire, this.messages);
  }

  async verify(): Promise<void> {
    const expected = Array.from({ length: this.#actors }, () => 0);
    for (let ask = 0; ask < this.#asks; ask++) {
      for (let visit = 0; visit < this.#visits; visit++) {
        expected[(ask + visit) % this.#actors]!++;
      }
    }
    await expectCounts(this.#wire, this.#actors, (actor) => expected[actor]!);
  }
}

/** As fast as it goes; the first half of the time warms up. */
async function turnsPerSecond(wire: Wire, load: VisitingLoad, seconds: number): Promise<number> {
  const halfMs = (seconds * 1000) / 2;
  await askFor(load, halfMs);
  const before = { turns: await turnsOf(wire), atMs: performance.now() };
  await askFor(load, halfMs);
  const turns = (await turnsOf(wire)) - before.turns;
  return turns / ((performance.now() - before.atMs) / 1000);
}

async function askFor(load: VisitingLoad, ms: number): Promise<void> {
  const end = performance.now() + ms;
  const lane = async (): Promise<void> => {
    while (performance.now() < end) await load.ask();
  };
  await Promise.all(Array.from({ length: CONCURRENT_ASKS }, lane));
}

/** The load, and beside it what it does to the server, window by window. */
async function observed(
  server: ServerProcess,
  wire: Wire,
  load: VisitingLoad,
  perSecond: number,
  windowSeconds: number,
): Promise<Window[]> {
  const windows = Array.from({ length: WINDOWS + 1 }, emptyWindow);
  const seconds = windowSeconds * windows.length;
  const ended = new AbortController();
  const start = performance.now();
  const at = (ms: number): Window =>
    windows[Math.min(WINDOWS, Math.floor(ms / 1000 / windowSeconds))]!;
  const look = async (window: Window): Promise<void> => {
    window.rssMb.push(server.rssMb());
    window.diskBytes.push((await wire.status()).storage!.bytes);
  };
  const watch = async (): Promise<void> => {
    while (!ended.signal.aborted) {
      await look(at(performance.now() - start));
      await wait((windowSeconds * 1000) / SAMPLES_PER_WINDOW);
    }
  };
  const done = (dueMs: number, latencyMs: number): void => {
    at(dueMs).latenciesMs.push(latencyMs);
  };
  const running = openLoop({ perSecond, seconds, work: () => load.ask(), done }).finally(() => {
    ended.abort();
  });
  await Promise.all([running, watch()]);
  // A server that answers slowly may have had no look in the last one.
  await look(windows.at(-1)!);
  return windows;
}

function emptyWindow(): Window {
  return { latenciesMs: [], rssMb: [], diskBytes: [] };
}

function result(
  windows: readonly Window[],
  load: Record<string, number>,
): Pick<Report, "figures" | "ratios"> {
  // A server that answers slowly may have had no look in some.
  const seen = windows.filter(({ rssMb, latenciesMs }) => rssMb.length * latenciesMs.length > 0);
  const first = seen[0];
  const last = seen.at(-1);
  if (first === undefined || last === undefined) throw new Error("the server answered nothing");
  const firstMb = median(first.rssMb);
  const lastMb = median(last.rssMb);
  const firstP99 = percentile(first.latenciesMs, 0.99);
  const lastP99 = percentile(last.latenciesMs, 0.99);
  const disk = windows.map(({ diskBytes }) => Math.max(0, ...diskBytes));
  const half = windows.length / 2;
  return {
    figures: {
      ...load,
      rss_first_mb: firstMb,
      rss_last_mb: lastMb,
      rss_growth_percent: (lastMb / firstMb - 1) * 100,
      p50_ms: percentile(
        windows.flatMap(({ latenciesMs }) => latenciesMs),
        0.5,
      ),
      p99_first_ms: firstP99,
      p99_last_ms: lastP99,
      disk_bytes_max: Math.max(...disk),
    },
    ratios: {
      p99_drift_ratio: lastP99 / firstP99,
      disk_late_to_early: Math.max(...disk.slice(half)) / Math.max(...disk.slice(0, half)),
    },
  };
}
