/**
 * Kills a real server again and again under load and keeps the books: what was acknowledged must be there,
 * once, and in order.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ActorStatus } from "../../src/gen/caxton/v1/actor.ts";
import { ensureError } from "../../src/base/errors.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { type ServerProcess, startServerProcess } from "../support/server.ts";
import { fixtureModule, manifest, Wire } from "../support/wire.ts";
import { ClientStream, isLoss } from "./client-stream.ts";
import { COURIER } from "./courier.ts";
import { Deploys } from "./deploys.ts";
import { type Balance, balanceOf } from "./ledger.ts";

/** Points of every storage engine. */
const COMMON_POINTS = [
  "any moment",
  "deploy.after-version",
  "deploy.after-record",
  "upgrade.after-import",
  "blob.before-store",
  "blob.after-store",
  "log.before-trim",
  "blob.before-delete",
  "blob.after-delete",
] as const;

/** Where the server dies: at any moment, at one of its fault points, or with its nats-server. */
export const POINTS = {
  embedded: [
    ...COMMON_POINTS,
    "log.before-append",
    "log.after-append-before-ack",
    "records.before-put",
    "records.after-put",
  ],
  jetstream: [...COMMON_POINTS, "after its nats-server", "with its nats-server"],
} as const;
export type Engine = keyof typeof POINTS;
export type Point = (typeof POINTS)[Engine][number];

const COMMIT_POINTS: ReadonlySet<Point> = new Set([
  "log.before-append",
  "log.after-append-before-ack",
]);
const MOMENTS: ReadonlySet<Point> = new Set([
  "any moment",
  "after its nats-server",
  "with its nats-server",
]);
/** Passed without anybody's asking. */
const SNAPSHOT_POINTS: ReadonlySet<Point> = new Set([
  "blob.before-store",
  "blob.after-store",
  "log.before-trim",
  "blob.before-delete",
  "blob.after-delete",
]);

/** A round of kills holds each point once, and these. */
const MORE_PER_ROUND: readonly Point[] = ["any moment", "any moment", "any moment"];
const KILLS_PER_DIRECTORY = 20;
const STREAMS = 24;
const ACTORS = 12;
const SINKS = 5;
const SETS = [
  "workers.count=2",
  "partitions.count=4",
  "storage.sizeBytesMax=4294967296",
  "log.level=warn",
  // Innocent messages are tried during more crashes here than a node lives through.
  "limits.crashIntentsMax=100",
  // Checkpoints all the time, and actors that leave memory and come back.
  "snapshots.turnsMax=100",
  "snapshots.intervalMs=100",
  "retention.logMs=0",
  "limits.residentActorsMax=8",
];
/** Answers between a start and the kill or the deployment. */
const ANSWERS_MIN = 20;
const ANSWERS_SPAN = 200;
/** A kill at any moment comes up to so long after an answer. */
const DELAY_MS = 20;
const NATS_DELAY_MS = 1500;
const EARLY_TRIES_MAX = 10;
/** Commits between a start and the kill. */
const COMMITS_MIN = 20;
const COMMITS_SPAN = 60;
/** Checkpoints, of all partitions, between a start and the kill: the first ones come before any request. */
const CHECKPOINTS_MIN = 12;
const CHECKPOINTS_SPAN = 24;
/** Actors that go over to another version, between a start and the kill. */
const UPGRADES_SPAN = 6;
/** Every so many streams one sends through a courier, which awaits. */
const COURIER_EVERY = 3;
/** Images, and the rest of the state. */
const BLOBS_PER_CHECKPOINT = 2;
/** A deployment writes two records and passes its own points once; the first or second is the last. */
const DEPLOYS_SPAN = 2;
const RECORDS_PER_DEPLOY = 2;
const LOOK_MS = 20;
const QUIET_LOOKS = 100;

export interface Kill {
  readonly point: Point;
  /** Requests without answer when the server was gone. */
  readonly inFlight: number;
  /** Requests answered, sent again, and recognised as repeats since the kill before. */
  readonly answered: number;
  readonly resent: number;
  readonly duplicates: number;
}

export interface Report extends Balance {
  readonly kills: readonly Kill[];
  /** Requests with different ids. */
  readonly requests: number;
  readonly answered: number;
  readonly resent: number;
  readonly duplicates: number;
  readonly deadLetters: number;
  /** Handlers that starts after a kill found in the middle of an `await`. */
  readonly awaits: number;
  /** Of nats-servers, besides those of nodes. */
  readonly natsKills: number;
  readonly deploys: number;
  readonly deploysLost: number;
}

export interface CampaignOptions {
  readonly storage: Engine;
  readonly kills: number;
  readonly seed: number;
  readonly killed: (kill: Kill, number: number) => void;
}

export async function runCampaign({
  storage,
  kills,
  seed,
  killed,
}: CampaignOptions): Promise<Report> {
  const random = new SeededRandom(seed);
  const plan = planOf(storage, kills, random);
  const reports: Report[] = [];
  const done: Kill[] = [];
  // A log that grows for ever would make each start slower than the one before.
  for (let from = 0; from < kills; from += KILLS_PER_DIRECTORY) {
    const campaign = new Campaign(storage, random, (kill) => killed(kill, done.push(kill)));
    reports.push(await campaign.run(plan.slice(from, from + KILLS_PER_DIRECTORY)));
  }
  return reports.reduce(sumOf);
}

/** Points by turns, in an order of the seed's. */
function planOf(storage: Engine, kills: number, random: SeededRandom): Point[] {
  const plan: Point[] = [];
  while (plan.length < kills) {
    const round: Point[] = [...POINTS[storage], ...MORE_PER_ROUND];
    while (round.length > 0) plan.push(...round.splice(random.below(round.length), 1));
  }
  return plan.slice(0, kills);
}

function sumOf(a: Report, b: Report): Report {
  return {
    kills: [...a.kills, ...b.kills],
    requests: a.requests + b.requests,
    answered: a.answered + b.answered,
    resent: a.resent + b.resent,
    duplicates: a.duplicates + b.duplicates,
    lost: a.lost + b.lost,
    doubled: a.doubled + b.doubled,
    strays: a.strays + b.strays,
    deadLetters: a.deadLetters + b.deadLetters,
    awaits: a.awaits + b.awaits,
    natsKills: a.natsKills + b.natsKills,
    deploys: a.deploys + b.deploys,
    deploysLost: a.deploysLost + b.deploysLost,
  };
}

/** The kills of one data directory. */
class Campaign {
  readonly #directory = mkdtempSync(join(tmpdir(), "caxton-crash-"));
  readonly #storage: Engine;
  readonly #random: SeededRandom;
  readonly #killed: (kill: Kill) => void;
  readonly #deploys = new Deploys();
  #awaits = 0;
  #natsKills = 0;
  readonly #streams = Array.from({ length: STREAMS }, (_, i) => {
    const key = `actor-${i % ACTORS}`;
    const receiver = `default/sequence/${key}`;
    const sink = `default/sequence/sink-${(i % ACTORS) % SINKS}`;
    const via = i % COURIER_EVERY === 0 ? `default/${COURIER}/${key}` : receiver;
    return new ClientStream(`stream-${i}`, receiver, sink, via);
  });

  constructor(storage: Engine, random: SeededRandom, killed: (kill: Kill) => void) {
    this.#storage = storage;
    this.#random = random;
    this.#killed = killed;
  }

  async run(plan: readonly Point[]): Promise<Report> {
    try {
      const kills: Kill[] = [];
      await this.#withServer(NO_FAULT, async (_server, wire) => {
        await wire.deploy(manifest("sequence"), fixtureModule("sequence"));
        await this.#deploys.deploy(wire);
      });
      for (const point of plan) {
        const kill = await this.#killAt(point);
        kills.push(kill);
        this.#killed(kill);
      }
      return await this.#withServer(NO_FAULT, async (_server, wire) => {
        return { kills, ...(await this.#audit(wire)) };
      });
    } finally {
      rmSync(this.#directory, { recursive: true, force: true });
    }
  }

  async #killAt(point: Point): Promise<Kill> {
    const before = this.#totals();
    return this.#withServer(
      () => this.#faultOf(point),
      async (server, wire) => {
        await unlessLost(this.#deploys.check(wire));
        const triggerAt = ANSWERS_MIN + this.#random.below(ANSWERS_SPAN);
        let answers = 0;
        let deploying: Promise<void> | undefined;
        const running = this.#streams.map((stream) =>
          stream.run(
            wire,
            () => true,
            () => {
              if (++answers !== triggerAt) return;
              if (MOMENTS.has(point)) void this.#killSoon(server, point);
              else if (!COMMIT_POINTS.has(point) && !SNAPSHOT_POINTS.has(point))
                deploying = this.#deployUntilDead(wire);
            },
          ),
        );
        await Promise.all(running);
        await deploying;
        await server.ended;
        const after = this.#totals();
        return {
          point,
          inFlight: this.#streams.reduce((sum, stream) => sum + stream.inFlight, 0),
          answered: after.answered - before.answered,
          resent: after.resent - before.resent,
          duplicates: after.duplicates - before.duplicates,
        };
      },
    );
  }

  async #killSoon(server: ServerProcess, point: Point): Promise<void> {
    await sleep(this.#random.below(DELAY_MS));
    if (point !== "any moment") this.#killNatsServer();
    // By then its nats-server may run again, or not yet.
    if (point === "after its nats-server") await sleep(this.#random.below(NATS_DELAY_MS));
    await server.kill("SIGKILL");
  }

  #killNatsServer(): void {
    process.kill(Number(readFileSync(join(this.#directory, "nats/nats-server.pid"))), "SIGKILL");
    this.#natsKills++;
  }

  #faultOf(point: Point): Record<string, string> {
    if (MOMENTS.has(point)) return {};
    return { CAXTON_FAULT_POINT: `${point}:${this.#passages(point)}` };
  }

  /** How often the server passes the point before it dies there. */
  #passages(point: Point): number {
    const one = (span: number): number => 1 + this.#random.below(span);
    if (COMMIT_POINTS.has(point)) return COMMITS_MIN + this.#random.below(COMMITS_SPAN);
    if (SNAPSHOT_POINTS.has(point)) {
      const passages = CHECKPOINTS_MIN + this.#random.below(CHECKPOINTS_SPAN);
      return passages * (point.endsWith("-store") ? BLOBS_PER_CHECKPOINT : 1);
    }
    if (point === "upgrade.after-import") return one(UPGRADES_SPAN);
    return one(DEPLOYS_SPAN * (point.startsWith("records.") ? RECORDS_PER_DEPLOY : 1));
  }

  async #deployUntilDead(wire: Wire): Promise<void> {
    try {
      for (;;) await this.#deploys.deploy(wire);
    } catch (error) {
      if (!isLoss(error)) throw error;
    }
  }

  /** Everything is answered and handled; then the books are closed. */
  async #audit(wire: Wire): Promise<Omit<Report, "kills">> {
    await this.#deploys.check(wire);
    const nothingNew = (): boolean => false;
    const running = this.#streams.map((stream) => stream.run(wire, nothingNew, () => undefined));
    await Promise.all(running);
    const balance = await this.#settled(wire);
    const requests = this.#streams.reduce((sum, stream) => sum + stream.sent, 0);
    const { deadLetters } = await facts(wire);
    const { acknowledged: deploys, lost: deploysLost } = this.#deploys;
    const awaits = this.#awaits;
    const natsKills = this.#natsKills;
    return {
      ...balance,
      natsKills,
      requests,
      ...this.#totals(),
      deadLetters,
      awaits,
      deploys,
      deploysLost,
    };
  }

  /** Waits until the books balance, or nothing happens any more. */
  async #settled(wire: Wire): Promise<Balance> {
    let turns = -1;
    for (let quiet = 0; ;) {
      const balance = await balanceOf(wire, this.#streams);
      const now = await facts(wire);
      quiet = now.turns === turns && now.pending === 0 ? quiet + 1 : 0;
      turns = now.turns;
      if ((balance.lost === 0 && now.pending === 0) || quiet > QUIET_LOOKS) return balance;
      await sleep(LOOK_MS);
    }
  }

  #totals(): { answered: number; resent: number; duplicates: number } {
    const sum = (of: (stream: ClientStream) => number): number =>
      this.#streams.reduce((total, stream) => total + of(stream), 0);
    return {
      answered: sum((stream) => stream.answered),
      resent: sum((stream) => stream.resent),
      duplicates: sum((stream) => stream.duplicates),
    };
  }

  /** Where it starts slowly it may pass its point, and die, before it is ready: a kill that says nothing of requests. */
  async #start(
    sets: readonly string[],
    faultOf: () => Readonly<Record<string, string>>,
  ): Promise<ServerProcess> {
    for (let tries = 1; ; tries++) {
      try {
        return await startServerProcess({ directory: this.#directory, sets, env: faultOf() });
      } catch (error) {
        const isEarly = ensureError(error).message.includes("signal SIGKILL) before it was ready");
        if (!isEarly || tries === EARLY_TRIES_MAX) throw error;
      }
    }
  }

  async #withServer<T>(
    faultOf: () => Readonly<Record<string, string>>,
    run: (server: ServerProcess, wire: Wire) => Promise<T>,
  ): Promise<T> {
    const sets = [...SETS, `storage.engine=${this.#storage}`];
    const server = await this.#start(sets, faultOf);
    const wire = new Wire(server.endpoint);
    try {
      // It may have died already: recovery passes some of the points.
      this.#awaits += (await unlessLost(openHandlers(wire))) ?? 0;
      return await run(server, wire);
    } finally {
      wire.close();
      await server.dispose();
    }
  }
}

const NO_FAULT = (): Readonly<Record<string, string>> => ({});

async function facts(wire: Wire): Promise<{ turns: number; pending: number; deadLetters: number }> {
  const { status } = await wire.call(wire.node.getStatus.bind(wire.node), {});
  const sums = { turns: 0, pending: 0, deadLetters: 0 };
  for (const partition of status!.partitions) {
    sums.turns += partition.turns;
    sums.pending += partition.pendingMessages;
    sums.deadLetters += partition.deadLetters;
  }
  return sums;
}

/** Undefined when the server is gone before it answers. */
async function unlessLost<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isLoss(error)) return undefined;
    throw error;
  }
}

async function openHandlers(wire: Wire): Promise<number> {
  const filter = { namespace: "", agent: COURIER, status: ActorStatus.OPEN };
  const request = { ...filter, pageSize: 1000, pageToken: "" };
  const { actors } = await wire.call(wire.actors.listActors.bind(wire.actors), request);
  return actors.length;
}
