/** What the scenarios of the ring have in common. */
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { runHotLoop } from "../harness/hot-loop.ts";
import type { Report } from "../harness/report.ts";
import { deployRing, type Durability, startRing } from "../harness/ring.ts";
import { ServerProcess } from "../harness/server-process.ts";
import { Wire } from "../harness/wire.ts";
import type { RingLoadOptions, RingScenarioOptions } from "./options.ts";

/** And no longer than a second more than what is measured. */
const WARM_UP_MS_MAX = 3000;
const HOT_LOOP_SECONDS_MAX = 5;

export interface RunningRing {
  readonly durability: Durability;
  readonly actors: number;
  /** Of the server, which has a worker for each. */
  readonly cores: number;
  readonly server: ServerProcess;
  readonly wire: Wire;
  readonly dataDirectory: string;
  readonly fromMs: number;
  readonly stopMs: number;
}

export type MeasureRing = (
  ring: RunningRing,
  options: RingLoadOptions,
) => Promise<Record<string, number>>;

export function startRingServer(dataDirectory: string, cores: number): Promise<ServerProcess> {
  return ServerProcess.start(dataDirectory, [`workers.count=${cores}`], cores);
}

/** Measures once per number of actors, beside the bare loop. */
export async function measureRing(
  options: RingScenarioOptions,
  durability: Durability,
  measure: MeasureRing,
): Promise<Pick<Report, "figures" | "ratios">> {
  const { directory, seconds, say, inFlight } = options;
  say("the bare loop");
  const hotLoopSeconds = Math.min(seconds, HOT_LOOP_SECONDS_MAX);
  const hotLoop = await runHotLoop(durability, hotLoopSeconds, directory);
  const figures: Record<string, number> = { in_flight: inFlight };
  for (const [i, actors] of options.actors.entries()) {
    say(`${actors} actors, ${inFlight} messages in flight, ${seconds} s`);
    const measured = await withRing({ durability, actors, cores: 1 }, options, measure);
    const suffix = i === 0 ? "" : `_${actors}_actors`;
    for (const [name, value] of Object.entries(measured)) figures[name + suffix] = value;
  }
  figures["hot_loop_messages_per_second"] = hotLoop.messages_per_second;
  figures["hot_loop_cpu_us_per_message"] = hotLoop.cpu_us_per_message;
  const ratio = figures["messages_per_second"]! / hotLoop.messages_per_second;
  return { figures, ratios: { of_hot_loop: ratio } };
}

export async function withRing(
  { durability, actors, cores }: Pick<RunningRing, "durability" | "actors" | "cores">,
  options: RingLoadOptions,
  measure: MeasureRing,
): Promise<Record<string, number>> {
  const { directory, language, inFlight, seconds } = options;
  const dataDirectory = join(directory, `${durability}-${actors}-${cores}`);
  const server = await startRingServer(dataDirectory, cores);
  const wire = new Wire(server.endpoint);
  try {
    await deployRing(wire, language, durability);
    const warmUpMs = Math.min(WARM_UP_MS_MAX, seconds * 1000 + 1000);
    const fromMs = Date.now() + warmUpMs;
    const stopMs = fromMs + seconds * 1000;
    await startRing(wire, { actors, inFlight, fromMs, stopMs });
    if (Date.now() > fromMs) throw new Error("the ring took longer to start than it warms up");
    const ring = { durability, actors, cores, server, wire, dataDirectory, fromMs, stopMs };
    return await measure(ring, options);
  } finally {
    wire.close();
    await server.kill();
  }
}

export async function waitUntil(timeMs: number): Promise<void> {
  await wait(Math.max(0, timeMs - Date.now()));
}
