/**
 * How many live actors a gigabyte holds. Each is asked once, and again in random order: the second time it
 * must answer from memory, which the server's metrics show.
 */
import { join } from "node:path";
import { readActivations } from "../harness/activations.ts";
import { count, type CounterKind, deployCounter } from "../harness/counter.ts";
import type { Report } from "../harness/report.ts";
import { ServerProcess } from "../harness/server-process.ts";
import { settledRssMb } from "../harness/settle.ts";
import { shuffled } from "../harness/shuffle.ts";
import { eachConcurrently, Wire } from "../harness/wire.ts";
import { type CounterScenarioOptions, eachKind } from "./options.ts";

const CONCURRENT_ASKS = 64;
const MB_PER_GB = 1024;

export async function density(
  options: CounterScenarioOptions,
): Promise<Pick<Report, "figures" | "ratios">> {
  const figures = await eachKind(options, (kind, actors) => measure(options, kind, actors));
  return { figures, ratios: {} };
}

async function measure(
  { directory, say }: CounterScenarioOptions,
  kind: CounterKind,
  actors: number,
): Promise<Record<string, number>> {
  const server = await ServerProcess.start(join(directory, kind), ["workers.count=1"]);
  const wire = new Wire(server.endpoint);
  try {
    const baseMb = await settledRssMb(server);
    await deployCounter(wire, kind);
    say(`${actors} ${kind} actors come to life`);
    await eachConcurrently(actors, CONCURRENT_ASKS, (actor) => count(wire, actor, 1));
    const before = await readActivations(server.httpEndpoint);
    say("all of them again");
    const order = shuffled(actors);
    await eachConcurrently(actors, CONCURRENT_ASKS, (i) => count(wire, order[i]!, 2));
    const rssMb = await settledRssMb(server);
    const after = await readActivations(server.httpEndpoint);
    if (after.signs !== before.signs) throw new Error("actors came back from the store");
    await expectAllLive(wire, actors);
    return {
      [`actors_per_gb_${kind}`]: (actors * MB_PER_GB) / rssMb,
      [`rss_${kind}_mb`]: rssMb,
      [`verified_${kind}_actors`]: actors,
      rss_base_mb: baseMb,
    };
  } finally {
    wire.close();
    await server.kill();
  }
}

async function expectAllLive(wire: Wire, actors: number): Promise<void> {
  let live = 0;
  for await (const { memoryBytes } of wire.actors("counter")) if (memoryBytes > 0) live++;
  if (live !== actors) throw new Error(`${live} of ${actors} actors are in memory`);
}
