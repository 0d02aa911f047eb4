/**
 * A server with many actors is killed: how long until it answers for every partition, how long until every
 * actor has told the count it had, and how fast turns are replayed that no snapshot covers.
 */
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { hashAddressText, partitionOf } from "../../src/actors/address.ts";
import {
  countAll,
  counterAddress,
  deployCounter,
  expectCount,
  expectCounts,
  visitAll,
} from "../harness/counter.ts";
import type { Report } from "../harness/report.ts";
import { ServerProcess } from "../harness/server-process.ts";
import { Wire } from "../harness/wire.ts";
import type { RecoverOptions } from "./options.ts";

const PARTITIONS = 16;
const SETTINGS = ["workers.count=1"];
/** What keeps snapshots from covering the tail. */
const TAIL_SETTINGS = [
  ...SETTINGS,
  "snapshots.intervalMs=3600000",
  "snapshots.turnsMax=1000000000",
];
/** Few enough to stay in memory all at once, so that the server replays them all by itself. */
const TAIL_ACTORS_MAX = 10_000;
const POLL_MS = 10;
const REPLAY_TIMEOUT_MS = 300_000;

export async function recover(
  options: RecoverOptions,
): Promise<Pick<Report, "figures" | "ratios">> {
  const figures = { ...(await afterKill(options)), ...(await replay(options)) };
  return { figures, ratios: {} };
}

/** With the snapshot settings the server ships with. */
async function afterKill({
  directory,
  actors,
  turns,
  say,
}: RecoverOptions): Promise<Record<string, number>> {
  const data = join(directory, "data");
  say(`${actors} actors, ${turns} turns each`);
  await fillAndKill(data, SETTINGS, (wire) => visitAll(wire, actors, turns));
  const untouched = oneOfEachPartition(actors);
  say("killed; starting again");
  const start = performance.now();
  const server = await ServerProcess.start(data, SETTINGS);
  const wire = new Wire(server.endpoint);
  try {
    await Promise.all(untouched.map((actor) => expectCount(wire, actor, turns)));
    const readySeconds = secondsSince(start);
    say(`ready after ${readySeconds.toFixed(1)} s; reading every count`);
    await expectCounts(wire, actors, () => turns);
    return {
      ready_seconds: readySeconds,
      all_exact_seconds: secondsSince(start),
      verified_actors: actors,
      verified_partitions: untouched.length,
    };
  } finally {
    wire.close();
    await server.kill();
  }
}

async function replay({
  directory,
  actors,
  tailTurns,
  say,
}: RecoverOptions): Promise<Record<string, number>> {
  const data = join(directory, "tail");
  const tailActors = Math.min(actors, TAIL_ACTORS_MAX);
  const turns = Math.ceil(tailTurns / tailActors);
  say(`a tail of ${tailActors * turns} turns`);
  const all = await fillAndKill(data, TAIL_SETTINGS, (wire) => countAll(wire, tailActors, turns));
  say("killed; starting again");
  const server = await ServerProcess.start(data, TAIL_SETTINGS);
  const wire = new Wire(server.endpoint);
  try {
    const perSecond = await replayedPerSecond(wire, all);
    await expectCounts(wire, tailActors, () => turns);
    return {
      replayed_turns_per_second: perSecond,
      replayed_turns: all,
      replayed_actors: tailActors,
    };
  } finally {
    wire.close();
    await server.kill();
  }
}

/** Returns the turns that were done. */
async function fillAndKill(
  data: string,
  settings: readonly string[],
  fill: (wire: Wire) => Promise<number>,
): Promise<number> {
  const server = await ServerProcess.start(data, settings);
  const wire = new Wire(server.endpoint);
  try {
    await deployCounter(wire, "small");
    return await fill(wire);
  } finally {
    wire.close();
    await server.kill();
  }
}

/** From the first look, by which the server may have replayed some, until it has replayed all. */
async function replayedPerSecond(wire: Wire, turns: number): Promise<number> {
  const first = { turns: await replayedTurns(wire), atMs: performance.now() };
  if (first.turns >= turns) throw new Error("the tail was replayed before the first look at it");
  let replayed = first.turns;
  while (replayed < turns) {
    await wait(POLL_MS);
    replayed = await replayedTurns(wire);
    if (performance.now() - first.atMs > REPLAY_TIMEOUT_MS) {
      throw new Error(`only ${replayed} of ${turns} turns were replayed`);
    }
  }
  if (replayed > turns) throw new Error(`${replayed} turns were replayed, there are ${turns}`);
  return (turns - first.turns) / secondsSince(first.atMs);
}

async function replayedTurns(wire: Wire): Promise<number> {
  const { partitions } = await wire.status();
  return partitions.reduce((sum, { turnsReplayed }) => sum + turnsReplayed, 0);
}

/** An actor of every partition that has any, drawn at random. */
function oneOfEachPartition(actors: number): number[] {
  const members: number[][] = Array.from({ length: PARTITIONS }, () => []);
  for (let actor = 0; actor < actors; actor++) {
    members[partitionOf(hashAddressText(counterAddress(actor)), PARTITIONS)]!.push(actor);
  }
  return members
    .filter(({ length }) => length > 0)
    .map((all) => all[Math.floor(Math.random() * all.length)]!);
}

function secondsSince(startMs: number): number {
  return (performance.now() - startMs) / 1000;
}
