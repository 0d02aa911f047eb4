/** Messages between actors that keep no log, on one core. */
import type { Report } from "../harness/report.ts";
import { askRing, verifyRing } from "../harness/ring.ts";
import { turnsAtRest } from "../harness/turns.ts";
import type { RingLoadOptions, RingScenarioOptions } from "./options.ts";
import { measureRing, type RunningRing, waitUntil } from "./ring-run.ts";

export function tellEphemeral(
  options: RingScenarioOptions,
): Promise<Pick<Report, "figures" | "ratios">> {
  return measureRing(options, "ephemeral", measureEphemeral);
}

export async function measureEphemeral(
  { server, wire, actors, fromMs, stopMs }: RunningRing,
  { inFlight }: RingLoadOptions,
): Promise<Record<string, number>> {
  await waitUntil(fromMs);
  const cpuBefore = server.cpuSeconds();
  await waitUntil(stopMs);
  const cpuAfter = server.cpuSeconds();
  const turns = await turnsAtRest(wire);
  const ring = await askRing(wire, actors);
  verifyRing(ring, inFlight);
  if (ring.total !== turns) {
    throw new Error(`the actors counted ${ring.total} messages, the server ${turns} turns`);
  }
  return {
    messages_per_second: ring.measured / ((stopMs - fromMs) / 1000),
    p50_ms: ring.p50Ms,
    p99_ms: ring.p99Ms,
    cpu_us_per_message: ((cpuAfter - cpuBefore) * 1e6) / ring.measured,
    verified_actors: actors,
    verified_messages: ring.total,
  };
}
