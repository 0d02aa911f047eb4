/**
 * Durable messages between actors, on one core. The server is killed while the ring runs; the reopened one
 * takes up what was in flight, and every message and every turn must be there, once.
 */
import { cpuSecondsOfServers } from "../harness/nats-server.ts";
import type { Report } from "../harness/report.ts";
import { askRing, type RingCounts, verifyRing } from "../harness/ring.ts";
import { turnsAtRest } from "../harness/turns.ts";
import { Wire } from "../harness/wire.ts";
import type { RingLoadOptions, RingScenarioOptions } from "./options.ts";
import { measureRing, type RunningRing, startRingServer, waitUntil } from "./ring-run.ts";

/** So that what the reopened server does falls behind the end of the ring and is not measured. */
const KILLED_BEFORE_STOP_MS = 200;
const REST_TIMEOUT_MS = 300_000;

export function tellDurable(
  options: RingScenarioOptions,
): Promise<Pick<Report, "figures" | "ratios">> {
  return measureRing(options, "durable", measureDurable);
}

export async function measureDurable(
  running: RunningRing,
  { inFlight, say, nats }: RingLoadOptions,
): Promise<Record<string, number>> {
  const { server, wire, actors, fromMs, stopMs } = running;
  await waitUntil(fromMs);
  const cpuBefore = server.cpuSeconds();
  const natsCpuBefore = cpuSecondsOfServers(nats);
  const writtenBefore = server.writtenBytes();
  await waitUntil(stopMs - KILLED_BEFORE_STOP_MS);
  const cpuAfter = server.cpuSeconds();
  const natsCpu = cpuSecondsOfServers(nats) - natsCpuBefore;
  const writtenAfter = server.writtenBytes();
  const killedMs = Date.now();
  wire.close();
  await server.kill();
  say("killed; starting again");
  const { ring, readyMs } = await reopen(running, inFlight);
  verifyRing(ring, inFlight);
  return {
    messages_per_second: ring.measured / ((killedMs - fromMs) / 1000),
    p50_ms: ring.p50Ms,
    p99_ms: ring.p99Ms,
    cpu_us_per_message: ((cpuAfter - cpuBefore) * 1e6) / ring.measured,
    ...(nats.length > 0 && { nats_server_cpu_us_per_message: (natsCpu * 1e6) / ring.measured }),
    written_bytes_per_message: (writtenAfter - writtenBefore) / ring.measured,
    reopened_ms: readyMs,
    verified_actors: actors,
    verified_messages: ring.total,
  };
}

/** Starts the server again and asks every actor, once all that was in flight has come to its end. */
async function reopen(
  { dataDirectory, cores, actors }: RunningRing,
  inFlight: number,
): Promise<{ ring: RingCounts; readyMs: number }> {
  const start = performance.now();
  const server = await startRingServer(dataDirectory, cores);
  const readyMs = performance.now() - start;
  const wire = new Wire(server.endpoint);
  try {
    for (const giveUpAtMs = Date.now() + REST_TIMEOUT_MS; ;) {
      await turnsAtRest(wire);
      const ring = await askRing(wire, actors);
      // What is on its way between partitions waits nowhere that the status shows.
      if (ring.kept >= inFlight || Date.now() > giveUpAtMs) return { ring, readyMs };
    }
  } finally {
    wire.close();
    await server.kill();
  }
}
