/**
 * The ring: actors of one agent that pass messages on to actors drawn at random. A closed loop: the number
 * of messages in flight stays what it was at the start, until the time at which every message is kept.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { compileAssemblyScript } from "../../src/actors/wasm/languages/assemblyscript.ts";
import { percentileOfCounts } from "./histogram.ts";
import { eachConcurrently, type Wire } from "./wire.ts";

const AGENTS = join(import.meta.dirname, "../agents");
const CONTENT_BYTES = 256;
/** Messages a starting message becomes at most: a few requests start them all. */
const FAN_OUT_MAX = 1000;
const CONCURRENT_ASKS = 64;
/** Buckets of the agents' histogram: bench/agents has the same numbers. */
const FINE_BUCKETS = 512;
const COARSE_MS = 16;

export type AgentLanguage = "c" | "assemblyscript";

export interface RingOptions {
  readonly actors: number;
  readonly inFlight: number;
  /** From then on hop times are noted. */
  readonly fromMs: number;
  readonly stopMs: number;
}

/** What all actors counted. */
export interface RingCounts {
  readonly counts: readonly number[];
  readonly total: number;
  /** Messages handled between fromMs and stopMs. */
  readonly measured: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export function ringAddress(actor: number): string {
  return `default/bench/${actor}`;
}

export async function deployRing(
  wire: Wire,
  language: AgentLanguage,
  durability: "durable" | "ephemeral",
): Promise<void> {
  const manifest = { apiVersion: "caxton/v1", kind: "Agent", metadata: { name: "bench" } };
  const text = JSON.stringify({ ...manifest, spec: { durability } });
  await wire.deploy(text, { $case: "module", value: await moduleOf(language) });
}

async function moduleOf(language: AgentLanguage): Promise<Uint8Array> {
  if (language === "c") return readFile(join(AGENTS, "forward-c/agent.wasm"));
  const source = await readFile(join(AGENTS, "forward/assembly/index.ts"), "utf8");
  const compiled = await compileAssemblyScript(new Map([["index.ts", source]]));
  if (compiled.kind === "failed") throw new Error(JSON.stringify(compiled.findings));
  return compiled.wasm;
}

/** Starts the ring; returns the number of messages that were sent to it. */
export async function startRing(wire: Wire, options: RingOptions): Promise<number> {
  const { actors, inFlight, fromMs, stopMs } = options;
  const fanOut = Math.min(FAN_OUT_MAX, inFlight);
  const starts = Math.ceil(inFlight / fanOut);
  await eachConcurrently(starts, CONCURRENT_ASKS, async (i) => {
    const copies = Math.min(fanOut, inFlight - i * fanOut);
    const content = Buffer.alloc(CONTENT_BYTES, 7);
    [Date.now(), fromMs, stopMs].forEach((ms, at) => content.writeDoubleLE(ms, at * 8));
    content.writeUInt32LE(actors, 24);
    content.writeUInt32LE(copies, 28);
    await wire.send(ringAddress(i % actors), content);
  });
  return starts;
}

export async function askRing(wire: Wire, actors: number): Promise<RingCounts> {
  const counts: number[] = [];
  const buckets: number[] = [];
  await eachConcurrently(actors, CONCURRENT_ASKS, async (actor) => {
    const reply = await wire.ask(ringAddress(actor), new Uint8Array(0), "query-ref");
    const told = JSON.parse(Buffer.from(reply).toString()) as { count: number; hops: number[] };
    counts[actor] = told.count;
    told.hops.forEach((messages, bucket) => {
      buckets[bucket] = (buckets[bucket] ?? 0) + messages;
    });
  });
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  return {
    counts,
    total: sum(counts),
    measured: sum(buckets),
    p50Ms: percentileOfCounts(buckets, 0.5, bucketEndMs),
    p99Ms: percentileOfCounts(buckets, 0.99, bucketEndMs),
  };
}

/** The end, so that a percentile is never less than it was. */
function bucketEndMs(bucket: number): number {
  if (bucket < FINE_BUCKETS) return bucket + 1;
  return FINE_BUCKETS + (bucket - FINE_BUCKETS + 1) * COARSE_MS;
}
