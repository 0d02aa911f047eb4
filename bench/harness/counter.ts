/**
 * Actors that count their messages, in two kinds: small ones in AssemblyScript, and JavaScript ones. Each
 * reply is a count, so whoever asks knows at once whether an actor still has the memory it had.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { turnsDone } from "./turns.ts";
import { type AgentSource, eachConcurrently, type Wire } from "./wire.ts";

const AGENTS = join(import.meta.dirname, "../agents");
const CONCURRENT_ASKS = 64;
/** Actors one message starts at most: what it sends has to fit into one turn. */
const STARTED_AT_ONCE = 1000;
const WAVE = 5000;

export type CounterKind = "small" | "js";

export function counterAddress(actor: number | string): string {
  return `default/counter/${actor}`;
}

export async function deployCounter(wire: Wire, kind: CounterKind): Promise<void> {
  const folder = join(AGENTS, kind === "small" ? "counter" : "counter-ts");
  const manifest = await readFile(join(folder, "agent.yaml"), "utf8");
  await wire.deploy(manifest, await sourceOf(kind, folder));
}

async function sourceOf(kind: CounterKind, folder: string): Promise<AgentSource> {
  if (kind === "small") {
    return { $case: "module", value: await readFile(join(folder, "assembly/agent.wasm")) };
  }
  const files = { "index.ts": await readFile(join(folder, "index.ts"), "utf8") };
  return { $case: "bundle", value: { language: "typescript", files } };
}

/** Adds one message to the actor's count, which has to be `expected` then. */
export async function count(wire: Wire, actor: number, expected: number): Promise<void> {
  verify(actor, await wire.ask(counterAddress(actor), new Uint8Array(0)), expected);
}

/** The actor's count has to be `expected`, and stays that. */
export async function expectCount(wire: Wire, actor: number, expected: number): Promise<void> {
  verify(actor, await wire.ask(counterAddress(actor), new Uint8Array(0), "query-ref"), expected);
}

export async function expectCounts(
  wire: Wire,
  actors: number,
  expected: (actor: number) => number,
): Promise<void> {
  await eachConcurrently(actors, CONCURRENT_ASKS, (actor) =>
    expectCount(wire, actor, expected(actor)),
  );
}

function verify(actor: number, reply: Uint8Array, expected: number): void {
  const counted = Buffer.from(reply).toString();
  if (counted !== String(expected)) {
    throw new Error(`actor ${actor} counted ${counted} messages, ${expected} were sent to it`);
  }
}

/** What makes so many small actors in a row count one message each, whichever gets it first. */
export function visits(number: number, actors: number): Uint8Array {
  return Buffer.from(`${number} ${actors}`);
}

/** Has every one of the small actors count so many messages, and resolves with the turns that was in all. */
export async function countAll(wire: Wire, actors: number, number: number): Promise<number> {
  const starters = Math.ceil(actors / STARTED_AT_ONCE);
  await eachConcurrently(starters * number, CONCURRENT_ASKS, async (i) => {
    const from = (i % starters) * STARTED_AT_ONCE;
    const to = Math.min(actors, from + STARTED_AT_ONCE);
    await start(wire, from, to, 1, actors);
  });
  const turns = (starters + actors) * number;
  await turnsDone(wire, turns);
  return turns;
}

/**
 * Starts so many visits at every one of the small actors, which makes as many messages for each of them, and
 * resolves with the turns that was in all. Wave by wave, so that few actors are needed in memory at a time.
 */
export async function visitAll(wire: Wire, actors: number, number: number): Promise<number> {
  let turns = 0;
  for (let wave = 0; wave < actors; wave += WAVE) {
    const size = Math.min(WAVE, actors - wave);
    const starters = Math.ceil(size / STARTED_AT_ONCE);
    await eachConcurrently(starters, CONCURRENT_ASKS, async (i) => {
      const from = wave + i * STARTED_AT_ONCE;
      const to = Math.min(wave + size, from + STARTED_AT_ONCE);
      await start(wire, from, to, number, actors);
    });
    turns += starters + size * number;
    await turnsDone(wire, turns);
  }
  return turns;
}

async function start(wire: Wire, from: number, to: number, number: number, actors: number) {
  const content = Buffer.from(`${from} ${to} ${number} ${actors}`);
  await wire.send(counterAddress(`starter-${from}`), content, "propagate");
}
