/** What the two scenarios of the ring have in common. */
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { runHotLoop } from "../harness/hot-loop.ts";
import type { Report } from "../harness/report.ts";
import { deployRing, startRing } from "../harness/ring.ts";
import { ServerProcess } from "../harness/server-process.ts";
import { Wire } from "../harness/wire.ts";
import type { RingScenarioOptions } from "./options.ts";

const WARM_UP_MS = 3000;
const HOT_LOOP_SECONDS_MAX = 5;
export const SETTINGS = ["workers.count=1"];

export interface RunningRing {
  readonly server: ServerProcess;
  readonly wire: Wire;
  readonly dataDirectory: string;
  readonly fromMs: number;
  readonly stopMs: number;
}

/** Measures once per number of actors, beside the bare loop. */
export async function measureRing(
  options: RingScenarioOptions,
  durability: "durable" | "ephemeral",
  measure: (ring: RunningRing, actors: number) => Promise<Record<string, number>>,
): Promise<Pick<Report, "figures" | "ratios">> {
  const { directory, seconds, say, inFlight } = options;
  say("the bare loop");
  const hotLoopSeconds = Math.min(seconds, HOT_LOOP_SECONDS_MAX);
  const hotLoop = await runHotLoop(durability, hotLoopSeconds, directory);
  const figures: Record<string, number> = { in_flight: inFlight };
  for (const [i, actors] of options.actors.entries()) {
    say(`${actors} actors, ${inFlight} messages in flight, ${seconds} s`);
    const measured = await withRing(options, durability, actors, measure);
    const suffix = i === 0 ? "" : `_${actors}_actors`;
    for (const [name, value] of Object.entries(measured)) figures[name + suffix] = value;
  }
  figures["hot_loop_messages_per_second"] = hotLoop.messages_per_second;
  figures["hot_loop_cpu_us_per_message"] = hotLoop.cpu_us_per_message;
  const ratio = figures["messages_per_second"]! / hotLoop.messages_per_second;
  return { figures, ratios: { of_hot_loop: ratio } };
}

async function withRing(
  options: RingScenarioOptions,
  durability: "durable" | "ephemeral",
  actors: number,
  measure: (ring: RunningRing, actors: number) => Promise<Record<string, number>>,
): Promise<Record<string, number>> {
  const { directory, language, inFlight, seconds } = options;
  const dataDirectory = join(directory, `data-${actors}`);
  const server = await ServerProcess.start(dataDirectory, SETTINGS);
  const wire = new Wire(server.endpoint);
  try {
    await deployRing(wire, language, durability);
    const fromMs = Date.now() + WARM_UP_MS;
    const stopMs = fromMs + seconds * 1000;
    await startRing(wire, { actors, inFlight, fromMs, stopMs });
    if (Date.now() > fromMs) throw new Error("the ring took longer to start than it warms up");
    return await measure({ server, wire, dataDirectory, fromMs, stopMs }, actors);
  } finally {
    wire.close();
    await server.kill();
  }
}

export async function waitUntil(timeMs: number): Promise<void> {
  await wait(Math.max(0, timeMs - Date.now()));
}
