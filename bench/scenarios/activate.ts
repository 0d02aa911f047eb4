/**
 * What it takes to bring a passivated actor back from the store. There are more actors than may stay in
 * memory; one at a time they are asked, always in the same random order, so that each has left when its
 * turn comes again. The same ask once more finds it alive.
 */
import { join } from "node:path";
import { activationP50Us, readActivations } from "../harness/activations.ts";
import { count, counterAddress, type CounterKind, deployCounter } from "../harness/counter.ts";
import { percentile } from "../harness/percentile.ts";
import type { Report } from "../harness/report.ts";
import { ServerProcess } from "../harness/server-process.ts";
import { shuffled } from "../harness/shuffle.ts";
import { eachConcurrently, Wire } from "../harness/wire.ts";
import { type CounterScenarioOptions, eachKind } from "./options.ts";

const CONCURRENT_ASKS = 64;
/** Of all actors, in memory. */
const RESIDENT_SHARE = 0.1;

export async function activate(
  options: CounterScenarioOptions,
): Promise<Pick<Report, "figures" | "ratios">> {
  const figures = await eachKind(options, (kind, actors) => measure(options, kind, actors));
  return { figures, ratios: {} };
}

async function measure(
  { directory, seconds, say }: CounterScenarioOptions,
  kind: CounterKind,
  actors: number,
): Promise<Record<string, number>> {
  const residents = Math.max(1, Math.floor(actors * RESIDENT_SHARE));
  const settings = ["workers.count=1", `limits.residentActorsMax=${residents}`];
  const server = await ServerProcess.start(join(directory, kind), settings);
  const wire = new Wire(server.endpoint);
  try {
    await deployCounter(wire, kind);
    say(`${actors} ${kind} actors, ${residents} in memory`);
    const order = shuffled(actors);
    await eachConcurrently(actors, CONCURRENT_ASKS, (i) => count(wire, order[i]!, 1));
    say("one at a time");
    const before = await readActivations(server.httpEndpoint);
    const { cold, live } = await askInTurn(wire, order, seconds);
    const after = await readActivations(server.httpEndpoint);
    return {
      ...timesUs(kind, activationP50Us(before, after), cold, live),
      [`verified_${kind}_activations`]: cold.length,
    };
  } finally {
    wire.close();
    await server.kill();
  }
}

/** Milliseconds of asks that found the actor in the store, and of the next ones, which found it alive. */
async function askInTurn(
  wire: Wire,
  order: readonly number[],
  seconds: number,
): Promise<{ cold: number[]; live: number[] }> {
  const cold: number[] = [];
  const live: number[] = [];
  const counts = order.map(() => 1);
  const timed = async (actor: number, samples: number[]): Promise<void> => {
    const start = performance.now();
    await count(wire, actor, ++counts[actor]!);
    samples.push(performance.now() - start);
  };
  const end = performance.now() + seconds * 1000;
  for (let i = 0; performance.now() < end; i++) {
    const actor = order[i % order.length]!;
    const { memoryBytes } = await wire.actor(counterAddress(actor));
    if (memoryBytes > 0) continue;
    await timed(actor, cold);
    await timed(actor, live);
  }
  return { cold, live };
}

function timesUs(
  kind: CounterKind,
  serverUs: number | undefined,
  cold: number[],
  live: number[],
): Record<string, number> {
  const more = cold.map((ms, i) => ms - live[i]!);
  return {
    ...(serverUs !== undefined && { [`${kind}_p50_us`]: serverUs }),
    [`${kind}_ask_p50_us`]: percentile(cold, 0.5) * 1000,
    [`${kind}_ask_live_p50_us`]: percentile(live, 0.5) * 1000,
    [`${kind}_ask_more_p50_us`]: percentile(more, 0.5) * 1000,
  };
}
