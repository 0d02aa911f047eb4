/**
 * REST beside what no such server can do without: a bare HTTP server that reads and writes the same JSON. Asks go to
 * actors that keep no log and send back what they got, so that most of the time is the API's own; the same asks over
 * gRPC, and put to a kernel without an API, tell how much.
 */
import { join } from "node:path";
import { ACTORS, CONTENT_TYPE, CONTENTS } from "../bare-kernel/asks.ts";
import { type Child, withChild } from "../harness/child.ts";
import { HttpConnection, httpRequest } from "../harness/http-connection.ts";
import { atOnce, type Call, inTurn, type Load } from "../harness/latency.ts";
import { percentile } from "../harness/percentile.ts";
import type { Report } from "../harness/report.ts";
import { deployRing, ringAddress } from "../harness/ring.ts";
import { ServerProcess } from "../harness/server-process.ts";
import { Wire } from "../harness/wire.ts";
import type { ScenarioOptions } from "./options.ts";

const BARE_HTTP = join(import.meta.dirname, "../bare-http/main.ts");
const BARE_KERNEL = join(import.meta.dirname, "../bare-kernel/main.ts");
const CONNECTIONS = 64;
const CALLS_PER_ROUND = 50;
/** Warm-up, one at a time, many at a time. */
const PARTS = 3;
/** Of what is measured many at a time: each side has its turn in each. */
const ROUNDS = 4;

const SIDES = ["ask", "bare_ask", "status", "bare_status"] as const;

type Lane = Readonly<Record<(typeof SIDES)[number], Call>>;
/** Milliseconds of one call, by who answered it. */
type Samples = Record<keyof Lane | "grpc_ask" | "kernel_ask", number[]>;

export async function rest(options: ScenarioOptions): Promise<Pick<Report, "figures" | "ratios">> {
  const { directory } = options;
  const server = await ServerProcess.start(join(directory, "data"), ["workers.count=1"]);
  const wire = new Wire(server.endpoint);
  try {
    await deployRing(wire, "c", "ephemeral");
    const answers = await sampleAnswers(server.restEndpoint);
    return await withChild([BARE_HTTP, ...answers], ({ ready: bareEndpoint }) =>
      withChild([BARE_KERNEL, join(directory, "kernel")], async (kernel) => {
        const lanes = await openLanes(server.restEndpoint, bareEndpoint);
        const one = await measureOne(options, lanes[0]!, wire, kernel);
        const many = await measureMany(options, lanes);
        return { figures: { ...one, ...many }, ratios: ratiosOf({ ...one, ...many }) };
      }),
    );
  } finally {
    wire.close();
    await server.kill();
  }
}

/** What the bare server is to answer. */
async function sampleAnswers(endpoint: string): Promise<string[]> {
  const connection = await HttpConnection.open(endpoint);
  const ask = await connection.request(askRequest("/api/v1/messages:ask", 0));
  const status = await connection.request(httpRequest("GET", "/api/v1/node"));
  connection.close();
  return [ask.toString(), status.toString()];
}

function askRequest(path: string, actor: number): Buffer {
  const body = { receiver: ringAddress(actor), contentType: CONTENT_TYPE };
  return httpRequest("POST", path, JSON.stringify({ ...body, content: CONTENTS[actor] }));
}

/** Each has a connection of its own to both servers. */
function openLanes(caxtonEndpoint: string, bareEndpoint: string): Promise<Lane[]> {
  const open = async (_: unknown, lane: number): Promise<Lane> => {
    const caxton = await HttpConnection.open(caxtonEndpoint);
    const bare = await HttpConnection.open(bareEndpoint);
    return {
      ask: asking(caxton, "/api/v1/messages:ask", lane),
      bare_ask: asking(bare, "/ask", lane),
      status: readingStatus(caxton, "/api/v1/node"),
      bare_status: readingStatus(bare, "/status"),
    };
  };
  return Promise.all(Array.from({ length: CONNECTIONS }, open));
}

function asking(connection: HttpConnection, path: string, firstActor: number): Call {
  const requests = CONTENTS.map((_, actor) => askRequest(path, actor));
  let actor = firstActor % ACTORS;
  return async () => {
    const body = await connection.request(requests[actor]!);
    if (!body.includes(CONTENTS[actor]!)) throw new Error("the reply is not what was asked");
    actor = (actor + 1) % ACTORS;
  };
}

function readingStatus(connection: HttpConnection, path: string): Call {
  const request = httpRequest("GET", path);
  return async () => {
    const body = await connection.request(request);
    if (!body.includes('"ready":true'))
      throw new Error(`the node is not ready: ${body.toString()}`);
  };
}

async function measureOne(
  { seconds, say }: ScenarioOptions,
  lane: Lane,
  wire: Wire,
  kernel: Child,
): Promise<Record<string, number>> {
  say("warming up");
  await interleaved(seconds / PARTS, lane, wire, kernel);
  say("one at a time");
  const samples = await interleaved(seconds / PARTS, lane, wire, kernel);
  const figures: Record<string, number> = {};
  for (const [side, samplesMs] of Object.entries(samples)) {
    figures[`${side}_p50_ms`] = percentile(samplesMs, 0.5);
    figures[`${side}_p99_ms`] = percentile(samplesMs, 0.99);
  }
  figures["over_grpc_p50_ms"] = figures["ask_p50_ms"]! - figures["grpc_ask_p50_ms"]!;
  figures["overhead_p50_ms"] = figures["ask_p50_ms"]! - figures["kernel_ask_p50_ms"]!;
  return figures;
}

async function interleaved(
  seconds: number,
  lane: Lane,
  wire: Wire,
  kernel: Child,
): Promise<Samples> {
  const samples: Samples = {
    ask: [],
    bare_ask: [],
    status: [],
    bare_status: [],
    grpc_ask: [],
    kernel_ask: [],
  };
  const contents = CONTENTS.map((content) => Buffer.from(content));
  let actor = 0;
  const askOverGrpc: Call = async () => {
    const reply = await wire.ask(ringAddress(actor), contents[actor]!);
    if (!contents[actor]!.equals(reply)) throw new Error("the reply is not what was asked");
    actor = (actor + 1) % ACTORS;
  };
  for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
    for (const side of SIDES) samples[side].push(...(await inTurn(CALLS_PER_ROUND, lane[side])));
    samples.grpc_ask.push(...(await inTurn(CALLS_PER_ROUND, askOverGrpc)));
    const fromKernel = await kernel.ask(String(CALLS_PER_ROUND));
    samples.kernel_ask.push(...(JSON.parse(fromKernel) as number[]));
  }
  return samples;
}

async function measureMany(
  { seconds, say }: ScenarioOptions,
  lanes: readonly Lane[],
): Promise<Record<string, number>> {
  say(`${CONNECTIONS} at a time`);
  const turnSeconds = seconds / PARTS / ROUNDS / SIDES.length;
  const loads = { ask: [], bare_ask: [], status: [], bare_status: [] } as Record<
    keyof Lane,
    Load[]
  >;
  let clientBusy = 0;
  for (let round = 0; round < ROUNDS; round++) {
    for (const side of SIDES) {
      const before = { cpu: process.cpuUsage(), atMs: performance.now() };
      loads[side].push(
        await atOnce(
          turnSeconds,
          lanes.map((lane) => lane[side]),
        ),
      );
      const { user, system } = process.cpuUsage(before.cpu);
      const busy = (user + system) / 1000 / (performance.now() - before.atMs);
      clientBusy = Math.max(clientBusy, busy);
    }
  }
  const figures: Record<string, number> = {};
  for (const side of SIDES) {
    const samplesMs = loads[side].flatMap((load) => load.samplesMs);
    figures[`${side}_p50_ms_at_${CONNECTIONS}`] = percentile(samplesMs, 0.5);
    figures[`${side}_p99_ms_at_${CONNECTIONS}`] = percentile(samplesMs, 0.99);
    const perSecond = loads[side].reduce((sum, load) => sum + load.perSecond, 0) / ROUNDS;
    figures[`${side}_per_second_at_${CONNECTIONS}`] = perSecond;
  }
  figures["client_busy_percent_max"] = clientBusy * 100;
  return figures;
}

function ratiosOf(figures: Record<string, number>): Record<string, number> {
  const rate = (side: string): number => figures[`${side}_per_second_at_${CONNECTIONS}`]!;
  return {
    ask_rate_of_bare: rate("ask") / rate("bare_ask"),
    status_rate_of_bare: rate("status") / rate("bare_status"),
    ask_p50_to_bare: figures["ask_p50_ms"]! / figures["bare_ask_p50_ms"]!,
    status_p50_to_bare: figures["status_p50_ms"]! / figures["bare_status_p50_ms"]!,
  };
}
