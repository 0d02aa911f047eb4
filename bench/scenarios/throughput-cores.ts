/** What a second core gives: the ring with one worker on one core, and with two on two. */
import { allCores, canPin } from "../harness/pinning.ts";
import type { Report } from "../harness/report.ts";
import type { CoresOptions } from "./options.ts";
import { withRing } from "./ring-run.ts";
import { measureDurable } from "./tell-durable.ts";
import { measureEphemeral } from "./tell-ephemeral.ts";

const CORES = [1, 2] as const;
const MEASURES = { durable: measureDurable, ephemeral: measureEphemeral };

export async function throughputCores(options: CoresOptions): Promise<Omit<Report, "scenario">> {
  if (allCores < 2) throw new Error("this machine has one core");
  const { actors, inFlight, seconds, say } = options;
  const figures: Record<string, number> = { in_flight: inFlight };
  const ratios: Record<string, number> = {};
  for (const durability of options.durability) {
    const rates: number[] = [];
    for (const cores of CORES) {
      say(`${durability}, workers and cores: ${cores}, ${seconds} s`);
      const ring = { durability, actors, cores };
      const measured = await withRing(ring, options, MEASURES[durability]);
      for (const [name, value] of Object.entries(measured)) {
        figures[`${durability}_${name}_on_${cores}`] = value;
      }
      rates.push(measured["messages_per_second"]!);
    }
    ratios[`${durability}_2_to_1`] = rates[1]! / rates[0]!;
  }
  const pinned = canPin ? "yes: to one, and to two" : "no: all share all cores";
  return { figures, ratios, environment: { server_pinned_to_one_core: pinned } };
}
