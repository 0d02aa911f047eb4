/**
 * Asking a durable actor over gRPC: the message is durable before the actor handles it, and its reply leaves
 * when the turn is durable. Beside it, interleaved, what no server can do without: a bare gRPC call and one
 * write with fdatasync.
 */
import { join } from "node:path";
import { AppendFile } from "../harness/disk.ts";
import { withEcho } from "../harness/echo-process.ts";
import { atOnce, type Call, inTurn } from "../harness/latency.ts";
import { percentile } from "../harness/percentile.ts";
import type { Report } from "../harness/report.ts";
import { deployRing, ringAddress } from "../harness/ring.ts";
import { ServerProcess } from "../harness/server-process.ts";
import { Wire } from "../harness/wire.ts";
import type { ScenarioOptions } from "./options.ts";

const CONTENT = Buffer.alloc(256, 7);
/** About what an ask writes: the message and the reply. */
const COMMIT_BYTES = 4096;
const COMMIT_FILE_BYTES = 16 * 1024 * 1024;
const ACTORS = 64;
const CONCURRENCY = 64;
const CALLS_PER_ROUND = 50;
/** Warm-up, one at a time, many at a time. */
const PARTS = 3;

export async function invoke(
  options: ScenarioOptions,
): Promise<Pick<Report, "figures" | "ratios">> {
  const { directory, say, seconds } = options;
  const server = await ServerProcess.start(join(directory, "data"), ["workers.count=1"]);
  const wire = new Wire(server.endpoint);
  const file = new AppendFile(join(directory, "commits"), COMMIT_FILE_BYTES);
  try {
    await deployRing(wire, "c", "durable");
    return await withEcho(async (echo) => {
      let actor = 0;
      const ask: Call = async () => {
        const reply = await wire.ask(ringAddress(actor++ % ACTORS), CONTENT);
        if (!CONTENT.equals(reply)) throw new Error("the reply is not what was asked");
      };
      say("warming up");
      await interleaved(seconds / PARTS, ask, () => echo(CONTENT), file);
      say("one at a time");
      const one = await interleaved(seconds / PARTS, ask, () => echo(CONTENT), file);
      say(`${CONCURRENCY} at a time`);
      const many = await concurrent(seconds / PARTS, ask);
      return { figures: { ...one, ...many }, ratios: {} };
    });
  } finally {
    file.close();
    wire.close();
    await server.kill();
  }
}

async function interleaved(
  seconds: number,
  ask: Call,
  echo: Call,
  file: AppendFile,
): Promise<Record<string, number>> {
  const commit = Buffer.alloc(COMMIT_BYTES, 1);
  const asks: number[] = [];
  const echoes: number[] = [];
  const commits: number[] = [];
  for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
    asks.push(...(await inTurn(CALLS_PER_ROUND, ask)));
    echoes.push(...(await inTurn(CALLS_PER_ROUND, echo)));
    for (let i = 0; i < CALLS_PER_ROUND; i++) commits.push(file.append(commit));
  }
  const p50 = percentile(asks, 0.5);
  const echoP50 = percentile(echoes, 0.5);
  const commitP50 = percentile(commits, 0.5);
  return {
    p50_ms: p50,
    p99_ms: percentile(asks, 0.99),
    echo_p50_ms: echoP50,
    commit_p50_ms: commitP50,
    overhead_p50_ms: p50 - echoP50 - commitP50,
    asks: asks.length,
  };
}

async function concurrent(seconds: number, ask: Call): Promise<Record<string, number>> {
  const { samplesMs, perSecond } = await atOnce(seconds, Array<Call>(CONCURRENCY).fill(ask));
  return {
    [`p50_ms_at_${CONCURRENCY}`]: percentile(samplesMs, 0.5),
    [`p99_ms_at_${CONCURRENCY}`]: percentile(samplesMs, 0.99),
    [`asks_per_second_at_${CONCURRENCY}`]: perSecond,
  };
}
