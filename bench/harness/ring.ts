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
export type Durability = "durable" | "ephemeral";

export interface RingOptions {
  readonly actors: number;
  readonly inFlight: number;
  /** From then on hop times are noted. */
  readonly fromMs: number;
  readonly stopMs: number;
}

/** What all actors together have in memory. */
export interface RingCounts {
  readonly total: number;
  /** Messages that were kept, since it was time, and the turns these carried with them. */
  readonly kept: number;
  readonly keptTurns: number;
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
  durability: Durability,
): Promise<void> {
  await wire.deploy(ringManifest(durability), {
    $case: "module",
    value: await ringModule(language),
  });
}

export function ringManifest(durability: Durability): string {
  const manifest = { apiVersion: "caxton/v1", kind: "Agent", metadata: { name: "bench" } };
  return JSON.stringify({ ...manifest, spec: { durability } });
}

export async function ringModule(language: AgentLanguage): Promise<Uint8Array> {
  if (language === "c") return readFile(join(AGENTS, "forward-c/agent.wasm"));
  const source = await readFile(join(AGENTS, "forward/assembly/index.ts"), "utf8");
  const compiled = await compileAssemblyScript(new Map([["index.ts", source]]));
  if (compiled.kind === "failed") throw new Error(JSON.stringify(compiled.findings));
  return compiled.wasm;
}

/** Puts the messages into the ring. */
export async function startRing(wire: Wire, options: RingOptions): Promise<void> {
  const { actors, inFlight, fromMs, stopMs } = options;
  const fanOut = Math.min(FAN_OUT_MAX, inFlight);
  const starts = Math.ceil(inFlight / fanOut);
  await eachConcurrently(starts, CONCURRENT_ASKS, async (i) => {
    const copies = Math.min(fanOut, inFlight - i * fanOut);
    const content = Buffer.alloc(CONTENT_BYTES, 7);
    [Date.now(), fromMs, stopMs].forEach((ms, at) => content.writeDoubleLE(ms, at * 8));
    content.writeUInt32LE(actors, 24);
    content.writeUInt32LE(copies, 28);
    content.writeBigUInt64LE(0n, 32);
    await wire.send(ringAddress(i % actors), content);
  });
}

export async function askRing(wire: Wire, actors: number): Promise<RingCounts> {
  const counts = { total: 0, kept: 0, keptTurns: 0 };
  const buckets: number[] = [];
  await eachConcurrently(actors, CONCURRENT_ASKS, async (actor) => {
    const reply = await wire.ask(ringAddress(actor), new Uint8Array(0), "query-ref");
    const told = JSON.parse(Buffer.from(reply).toString()) as Told;
    counts.total += told.count;
    counts.kept += told.kept;
    counts.keptTurns += told.keptTurns;
    told.hops.forEach((messages, bucket) => {
      buckets[bucket] = (buckets[bucket] ?? 0) + messages;
    });
  });
  return {
    ...counts,
    measured: buckets.reduce((a, b) => a + b, 0),
    p50Ms: percentileOfCounts(buckets, 0.5, bucketEndMs),
    p99Ms: percentileOfCounts(buckets, 0.99, bucketEndMs),
  };
}

interface Told {
  readonly count: number;
  readonly kept: number;
  readonly keptTurns: number;
  readonly hops: readonly number[];
}

/**
 * Messages lost or doubled show in the number of those kept. Turns lost or doubled in an actor's memory show
 * in what it counted, against what the messages carried through all actors.
 */
export function verifyRing(ring: RingCounts, inFlight: number): void {
  const { total, kept, keptTurns } = ring;
  if (kept !== inFlight) {
    throw new Error(`${kept} messages came to their end, ${inFlight} were in flight`);
  }
  if (total !== keptTurns) {
    throw new Error(`the actors counted ${total} messages, these carry ${keptTurns} turns`);
  }
}

/** The end, so that a percentile is never less than it was. */
function bucketEndMs(bucket: number): number {
  if (bucket < FINE_BUCKETS) return bucket + 1;
  return FINE_BUCKETS + (bucket - FINE_BUCKETS + 1) * COARSE_MS;
}
