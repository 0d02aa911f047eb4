/** One run of the demonstration: feed, crash, go on, compare. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Api, type NodeFacts } from "./api.ts";
import { awaitsOpenAt } from "./awaits.ts";
import { type Counts, countHere, countsOfActors, differences, totalOf } from "./counts.ts";
import { Feeder, IN_FLIGHT_MAX } from "./feeder.ts";
import { killNatsServer } from "./nats-server.ts";
import { type NodePlace, NodeProcess } from "./node-process.ts";
import { many, number, step } from "./screen.ts";
import { chunksOf, wordsOnly } from "./text.ts";

const AGENTS = ["splitter", "counter", "tally"] as const;
const COUNTER = "counter";
/** Several actors split at the same time. */
const SPLITTERS = Array.from({ length: 8 }, (_, key) => `default/splitter/${String(key)}`);
const TALLY = "default/tally/default";
/** The node is killed between these shares of the acknowledgements. */
const KILL_FROM = 0.2;
const KILL_TO = 0.8;
/** So few messages are handled as fast as they are acknowledged. */
const FEW_MESSAGES = 64;
const OPEN_MS = 60_000;
const LOOK_MS = 50;
/** With nothing left to handle and no turn for so long, what is missing will not come. */
const QUIET_MS = 5000;

export interface Outcome {
  readonly counts: Counts;
  /** Words that differ, and what else is not as it should be. */
  readonly faults: readonly string[];
  readonly sent: number;
  readonly facts: NodeFacts;
  readonly kills: number;
  readonly ackedBeforeKill: number;
  readonly resumedFrom: number;
  readonly awaitsOpenAtKill: number;
  readonly node: NodeProcess;
  readonly endpoint: string;
}

export interface RunOptions {
  readonly place: NodePlace;
  readonly bytes: Uint8Array;
  /** Hears of every node, so that it can be stopped at any moment. */
  readonly started: (node: NodeProcess) => void;
}

export async function run({ place, bytes, started }: RunOptions): Promise<Outcome> {
  const messages = chunksOf(wordsOnly(bytes));
  const feeder = new Feeder(SPLITTERS, messages);
  const first = await boot(place, started);
  await deploy(first.api);
  const isHeld = messages.length > 0 && messages.length < FEW_MESSAGES;
  if (isHeld) await hold(first.api);
  await feedUntilKilled(first.node, first.api, feeder, messages.length);
  const killedAtMs = Date.now();
  const ackedBeforeKill = feeder.acked;
  const resumedFrom = feeder.position;
  const { node, endpoint, api } = await boot(place, started);
  if (isHeld) await api.resume(COUNTER);
  const kills = 1 + (await feedOn(api, feeder, messages.length, place));
  const expected = countHere(bytes);
  await settle(api, totalOf(expected));
  const awaitsOpenAtKill = await awaitsOpenAt(api, killedAtMs);
  step("await").done(`${many(awaitsOpenAtKill, "handler")} went on where the kill had found them`);
  const { counts, faults } = await check(api, expected);
  const facts = await api.facts();
  api.close();
  const figures = { sent: messages.length, facts, kills, ackedBeforeKill, resumedFrom };
  return { counts, faults, ...figures, awaitsOpenAtKill, node, endpoint };
}

interface Booted {
  readonly node: NodeProcess;
  readonly endpoint: string;
  readonly api: Api;
}

async function boot(place: NodePlace, started: RunOptions["started"]): Promise<Booted> {
  const booting = step("start");
  booting.update("a node");
  const node = new NodeProcess(place);
  started(node);
  const endpoint = await node.ready;
  const api = new Api(endpoint);
  const { recovered } = await api.facts();
  const found = recovered === 0 ? "" : `, ${many(recovered, "unhandled message")} found`;
  booting.done(`node ${String(node.pid)} on ${endpoint}${found}`);
  return { node, endpoint, api };
}

async function deploy(api: Api): Promise<void> {
  const deploying = step("deploy");
  for (const agent of AGENTS) {
    deploying.update(agent);
    await api.deploy(join(import.meta.dirname, agent));
  }
  deploying.done(AGENTS.join(" -> "));
}

/** A short text would be counted before the kill, and no handler open. */
async function hold(api: Api): Promise<void> {
  const holding = step("hold");
  await api.suspend(COUNTER);
  holding.done("the counters, until after the kill: the text is short");
}

/**
 * Kills the node at an acknowledgement drawn at random, while others are in flight and handlers are open. What
 * lies beyond the last moment for it is not sent before, as acknowledgements may still come in after the kill.
 */
async function feedUntilKilled(
  node: NodeProcess,
  api: Api,
  feeder: Feeder,
  messages: number,
): Promise<void> {
  const feeding = step("feed");
  const from = Math.ceil(messages * KILL_FROM);
  const to = Math.max(from, Math.floor(messages * KILL_TO));
  const others = Math.min(IN_FLIGHT_MAX, Math.ceil((to - from) / 2));
  const killAt = from + Math.floor(Math.random() * (to - others - from + 1));
  const say = (): void => {
    feeding.update(`${number(feeder.acked)} of ${many(messages, "message")} acknowledged`);
  };
  const early = await feeder.feed(api, from, say);
  if (early !== undefined) throw early;
  // From here on there is always more to handle, as messages come in faster.
  if (from > 0) await someHandlerIsOpen(api);
  let killed: Promise<void> | undefined;
  let inFlight = 0;
  const failure = await feeder.feed(api, to, () => {
    say();
    if (feeder.acked < killAt || killed !== undefined) return;
    ({ inFlight } = feeder);
    killed = node.kill();
  });
  if (killed === undefined && failure !== undefined) throw failure;
  await (killed ?? node.kill());
  api.close();
  feeding.done(`${number(feeder.acked)} of ${many(messages, "message")} acknowledged`);
  step("kill").done(`SIGKILL to node ${String(node.pid)}, ${many(inFlight, "message")} in flight`);
}

async function someHandlerIsOpen(api: Api): Promise<void> {
  const untilMs = performance.now() + OPEN_MS;
  while (performance.now() < untilMs) {
    for await (const _ of api.actors("splitter", "open")) return;
  }
  throw new Error(`no splitter had taken up its work after ${number(OPEN_MS / 1000)} s`);
}

/** Resolves with the number of nats-servers it has killed on the way. */
async function feedOn(
  api: Api,
  feeder: Feeder,
  messages: number,
  place: NodePlace,
): Promise<number> {
  const feeding = step("feed");
  const begin = feeder.position;
  const from = begin < messages ? `on from message ${number(begin + 1)}` : "nothing left to send";
  const hasNats = place.storage === "jetstream";
  const killAt = begin + Math.floor(Math.random() * (messages - begin));
  let killed: number | undefined;
  const failure = await feeder.feed(api, messages, () => {
    feeding.update(`${number(feeder.acked)} of ${many(messages, "message")} acknowledged`);
    if (hasNats && feeder.acked > killAt) killed ??= killNatsServer(place);
  });
  if (failure !== undefined) throw failure;
  if (hasNats) killed ??= killNatsServer(place);
  feeding.done(`${from}, ${number(messages)} of ${number(messages)} acknowledged`);
  if (killed === undefined) return 0;
  step("kill").done(`SIGKILL to nats-server ${String(killed)} on the way`);
  return 1;
}

/** Waits until the tally has heard of all words and every message is handled, or nothing happens any more. */
async function settle(api: Api, words: number): Promise<void> {
  const settling = step("handle");
  let facts = await api.facts();
  let changedAtMs = performance.now();
  const isDone = async (): Promise<boolean> =>
    facts.pending === 0 && (await tallied(api)) === words;
  while (!(await isDone()) && performance.now() - changedAtMs < QUIET_MS) {
    await sleep(LOOK_MS);
    const now = await api.facts();
    if (now.handled !== facts.handled || now.pending > 0) changedAtMs = performance.now();
    facts = now;
    settling.update(`${number(facts.handled)} done, ${number(facts.pending)} waiting`);
  }
  settling.done(`${number(facts.handled)} messages handled`);
}

async function tallied(api: Api): Promise<number> {
  const summary = await api.stateText(TALLY, "summary");
  return summary === undefined ? 0 : (JSON.parse(summary) as { total: number }).total;
}

async function check(
  api: Api,
  expected: Counts,
): Promise<{ counts: Counts; faults: readonly string[] }> {
  const checking = step("check");
  const counts = await countsOfActors(api, (counters) => {
    checking.update(`${number(counters)} of ${many(expected.size, "counter")} read`);
  });
  const faults = differences(counts, expected);
  const total = totalOf(expected);
  const inTally = await tallied(api);
  if (inTally !== total) {
    faults.push(`the tally knows of ${number(inTally)} words, in the text ${number(total)}`);
  }
  const { deadLetters } = await api.facts();
  if (deadLetters > 0) faults.push(`${many(deadLetters, "message")} became dead letters`);
  checking.done(
    faults.length === 0
      ? `${many(counts.size, "word")}, each counted as in the text`
      : `${many(faults.length, "difference")} from the text`,
  );
  return { counts, faults };
}
