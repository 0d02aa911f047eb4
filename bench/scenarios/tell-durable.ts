/**
 * Durable messages between actors, on one core. The server is killed while the ring runs; then what the log
 * holds is counted, and every actor of the reopened server must have counted the same.
 */
import { cp } from "node:fs/promises";
import { countLog, type LogCounts } from "../harness/log-counts.ts";
import type { Report } from "../harness/report.ts";
import { askRing, type RingCounts } from "../harness/ring.ts";
import { ServerProcess } from "../harness/server-process.ts";
import { turnsDone } from "../harness/turns.ts";
import { Wire } from "../harness/wire.ts";
import type { RingScenarioOptions } from "./options.ts";
import { LOG_BYTES_MAX, measureRing, type RunningRing, SETTINGS, waitUntil } from "./ring-run.ts";

const PARTITIONS = 16;
/** The measured time ends before the kill, and the kill comes before the ring would end by itself. */
const MEASURED_BEFORE_STOP_MS = 500;
const KILLED_BEFORE_STOP_MS = 200;

export function tellDurable(
  options: RingScenarioOptions,
): Promise<Pick<Report, "figures" | "ratios">> {
  return measureRing(options, "durable", (ring, actors) => measure(ring, actors, options.say));
}

async function measure(
  { server, wire, dataDirectory, fromMs, stopMs }: RunningRing,
  actors: number,
  say: (text: string) => void,
): Promise<Record<string, number>> {
  const untilMs = stopMs - MEASURED_BEFORE_STOP_MS;
  await waitUntil(fromMs);
  const cpuBefore = server.cpuSeconds();
  await waitUntil(untilMs);
  const cpuAfter = server.cpuSeconds();
  await waitUntil(stopMs - KILLED_BEFORE_STOP_MS);
  wire.close();
  await server.kill();
  say("killed; counting the log");
  const copy = `${dataDirectory}-copy`;
  await cp(dataDirectory, copy, { recursive: true });
  const sizes = { partitions: PARTITIONS, actors, sizeBytesMax: LOG_BYTES_MAX };
  const log = await countLog(copy, { ...sizes, fromMs, untilMs });
  say(`the log holds ${sum(log.turns)} turns; reopening`);
  const reopened = await reopen(dataDirectory, log);
  verify(log, reopened.ring);
  return {
    messages_per_second: log.measured / ((untilMs - fromMs) / 1000),
    p50_ms: reopened.ring.p50Ms,
    p99_ms: reopened.ring.p99Ms,
    cpu_us_per_message: ((cpuAfter - cpuBefore) * 1e6) / log.measured,
    log_bytes_per_message: log.bytes / sum(log.turns),
    reopened_ms: reopened.readyMs,
    verified_actors: actors,
    verified_messages: reopened.ring.total,
  };
}

/** Starts the server again and asks every actor, once all that was sent has been handled. */
async function reopen(
  dataDirectory: string,
  log: LogCounts,
): Promise<{ ring: RingCounts; readyMs: number }> {
  const start = performance.now();
  const server = await ServerProcess.start(dataDirectory, SETTINGS);
  const readyMs = performance.now() - start;
  const wire = new Wire(server.endpoint);
  try {
    await turnsDone(wire, sum(log.sent));
    return { ring: await askRing(wire, log.sent.length), readyMs };
  } finally {
    wire.close();
    await server.kill();
  }
}

function verify(log: LogCounts, ring: RingCounts): void {
  for (const [actor, sent] of log.sent.entries()) {
    const counted = ring.counts[actor];
    if (counted !== sent) {
      throw new Error(`actor ${actor} counted ${counted} messages, the log holds ${sent}`);
    }
  }
}

function sum(values: Float64Array): number {
  return values.reduce((a, b) => a + b, 0);
}
