/**
 * One run: nodes on a store, clients and operators round them, and the checks. First the faults, then
 * everything is mended and all work has to come to its end.
 */
import { CaxtonError } from "../../src/base/errors.ts";
import type { SeededRandom } from "../../src/base/random.ts";
import { envelopeParts } from "../../src/actors/wasm/envelope.ts";
import type { PartitionProcessor } from "../../src/actors/partition/processor.ts";
import type { PackedResult } from "../../src/actors/worker-protocol.ts";
import { EPHEMERAL } from "./agents.ts";
import { Clients } from "./clients.ts";
import { Coverage } from "./coverage.ts";
import type { Branch } from "./coverage.ts";
import { EXIT_LIVENESS, SimFailure, promise } from "./failure.ts";
import { describe, isIdle } from "./idle.ts";
import { Ledger } from "./ledger.ts";
import { Operator } from "./operator.ts";
import { tokenOf } from "./plan.ts";
import { Shadow } from "./shadow.ts";
import type { ReadsAt } from "./sim-blobs.ts";
import { SimLog } from "./sim-log.ts";
import { SimNode } from "./sim-node.ts";
import { SendStream, SimStreamReader } from "./send-stream.ts";
import { difference } from "./state-dump.ts";
import { FAULTS, fork, pick } from "./swarm.ts";
import type { Fault, Swarm } from "./swarm.ts";
import { History, lostTail } from "./history.ts";
import type { Durable } from "./history.ts";
import { Timeline } from "./timeline.ts";

const INCARNATION = 0xc0ffee;
const START_MS = 1_700_000_000_000;
const COMPARED = 0.02;
const MEND_EVERY_MS = 150;
/** By then everything has to be done, in virtual time and in steps. */
const PROGRESS_MS = 600_000;
const STEPS_MAX = 400_000;
/** How long an old owner may not know it yet. */
const ZOMBIE_MS_MAX = 500;
/** How long it may take until all that waited for a leader goes on. */
const RESUMED_MS = 10_000;

export class World {
  readonly coverage = new Coverage();
  ledger: Ledger;
  private readonly swarm: Swarm;
  private readonly timeline: Timeline;
  private readonly log: SimLog;
  private shadows: Shadow[];
  private readonly history = new History();
  private readonly clients: Clients;
  private readonly sends: SendStream;
  private readonly readers = new Map<SimNode, SimStreamReader>();
  private readonly operator: Operator;
  private readonly chaos: SeededRandom;
  private readonly checks: SeededRandom;
  private node: SimNode | undefined;
  /** Nodes that were taken over and do not know it yet. */
  private zombies: SimNode[] = [];
  private nodes = 0;
  private clockOffsetMs = 0;
  private healing = false;
  private elections = 0;
  /** Elections after which nobody has looked yet whether all goes on. */
  private unresumed = 0;
  private readonly diverged = new Set<string>();
  private readonly readsAt: ReadsAt;

  constructor(swarm: Swarm, readsAt: ReadsAt = "leader") {
    const { seed, partitions } = swarm;
    this.swarm = swarm;
    this.readsAt = readsAt;
    this.timeline = new Timeline(fork(seed, "ties"));
    this.chaos = fork(seed, "chaos");
    this.checks = fork(seed, "checks");
    const { timeline, coverage } = this;
    this.operator = new Operator(swarm, fork(seed, "operator"));
    this.clients = new Clients({
      swarm,
      timeline,
      coverage,
      random: fork(seed, "clients"),
      node: () => this.node,
      wallMs: () => this.wallMs(),
    });
    this.sends = new SendStream({
      swarm,
      timeline,
      coverage,
      random: fork(seed, "sends"),
      wallMs: () => this.wallMs(),
    });
    this.ledger = new Ledger({
      partitions,
      coverage,
      dedupWindowMs: swarm.limits.dedupWindowMs,
      checksWindow: !swarm.faults.has("clockJumps"),
      firstSentMs: (token) => this.clients.firstSentMs(token) || this.sends.firstSentMs(token),
      wallMs: () => this.wallMs(),
      isEphemeral: (address) => address.startsWith(`${EPHEMERAL}/`),
      frame: (partition, sequence) => this.log.frames.frame(partition, sequence)!,
      isOutOfOrder: (token) =>
        this.clients.isOutOfOrder(token) ||
        this.sends.isOutOfOrder(token) ||
        this.operator.retried.has(token),
    });
    this.shadows = this.newShadows();
    this.log = new SimLog({
      swarm,
      timeline,
      coverage,
      random: fork(seed, "store"),
      durable: (partition, sequence, frame) => {
        this.history.add({ partition, sequence, frame });
        this.apply({ partition, sequence, frame });
      },
    });
  }

  private newShadows(): Shadow[] {
    const environment = (id: number) => this.operator.environments.get(id)!;
    return Array.from(
      { length: this.swarm.partitions },
      (_, id) => new Shadow(id, this.swarm, INCARNATION, environment),
    );
  }

  private apply({ partition, sequence, frame }: Durable): void {
    this.ledger.apply(partition, sequence, frame);
    this.shadows[partition]!.apply(sequence, frame);
  }

  private wallMs(): number {
    return Math.floor(START_MS + this.timeline.nowMs + this.clockOffsetMs);
  }

  // --- The run ------------------------------------------------------------------------------------------

  run(): void {
    const { timeline, swarm } = this;
    this.boot(true);
    this.clients.start();
    this.sends.start();
    this.nextFault();
    timeline.after(swarm.loadMs * 1.5, () => {
      this.heal();
    });
    while (!this.isDone()) {
      if (timeline.nowMs > swarm.loadMs * 1.5 + PROGRESS_MS || timeline.steps > STEPS_MAX) {
        throw new SimFailure(
          EXIT_LIVENESS,
          `not done after ${timeline.steps} steps: ${this.stuck()}`,
        );
      }
      if (!this.step()) return;
    }
    this.checkEnd();
  }

  /** False when a node has noticed that the servers lost what was acknowledged: somebody has to restore a copy. */
  private step(): boolean {
    try {
      if (this.timeline.step()) return true;
    } catch (error) {
      const isNoticed = error instanceof CaxtonError && error.code === "STORAGE_CORRUPT";
      if (!isNoticed || !this.log.hasLostTail) throw error;
      this.coverage.hit("lost tail noticed");
      return false;
    }
    throw new SimFailure(EXIT_LIVENESS, `nothing moves: ${this.stuck()}`);
  }

  private nodeOf(): SimNode {
    const { swarm, timeline, coverage, log } = this;
    const node: SimNode = new SimNode({
      swarm,
      timeline,
      coverage,
      log,
      readsAt: this.readsAt,
      random: fork(swarm.seed, `node ${this.nodes++}`),
      environments: this.operator.environments,
      incarnation: INCARNATION,
      wallMs: () => this.wallMs(),
      ephemeralAgents: () => [EPHEMERAL],
      crashed: (crashed) => {
        coverage.hit("process crashed by a message");
        this.down(crashed, false);
      },
      fenced: (fenced) => {
        fenced.stop(false);
      },
      contended: (contended) => {
        this.down(contended, false);
      },
      escalate: (agent, reason) => {
        if (node.alive) this.operator.suspend(node, agent, reason);
      },
      diverged: (actor) => {
        this.diverged.add(actor);
      },
      streamed: (from, message) => {
        this.readers.get(from)?.streamed(message);
      },
      recovered: (processor) => {
        this.compare(processor, "state compared in recovery");
      },
      committed: (processor) => {
        this.compareNowAndThen(processor);
      },
      leaving: (result, reply) => {
        this.checkLeaving(result, reply);
      },
    });
    const reader = new SimStreamReader(this.sends, node);
    this.readers.set(node, reader);
    reader.start();
    return node;
  }

  private boot(wasClean: boolean): void {
    const node = this.nodeOf();
    this.node = node;
    node.start(wasClean, () => {
      promise(
        !this.ledger.isTorn,
        () => "no node noticed that the log of a partition was cut short",
      );
      this.operator.converge(node);
    });
  }

  /** A process ends; another one starts. */
  private down(node: SimNode, withPower: boolean, wasClean = false): void {
    node.stop(withPower);
    if (node !== this.node) return;
    for (const zombie of this.zombies) zombie.stop(withPower);
    this.zombies = [];
    this.node = undefined;
    this.timeline.after(this.chaos.nextFloat() * 60, () => {
      this.boot(wasClean);
    });
  }

  // --- Faults -------------------------------------------------------------------------------------------

  private nextFault(): void {
    const { chaos, swarm } = this;
    this.timeline.after(chaos.nextFloat() * 2 * swarm.faultEveryMs, () => {
      if (this.healing) return;
      const on = FAULTS.filter((fault) => swarm.faults.has(fault));
      if (on.length > 0) this.strike(pick(chaos, on));
      this.nextFault();
    });
  }

  private strike(fault: Fault): void {
    const { coverage, chaos, node } = this;
    if (node === undefined) return;
    switch (fault) {
      case "kills":
        coverage.hit("process killed");
        this.down(node, false);
        return;
      case "powerLosses":
        coverage.hit("power lost");
        this.down(node, true);
        this.sends.loseEnd();
        return;
      case "workerKills":
        node.killWorker(chaos.below(this.swarm.workers));
        return;
      case "takeovers":
        if (node.isOpen && this.zombies.length === 0) this.takeOver(node);
        return;
      case "cleanRestarts":
        if (!node.isOpen || !node.isQuiet) return;
        coverage.hit("clean restart");
        this.down(node, false, true);
        return;
      case "clockJumps": {
        const jumpMs = (chaos.nextFloat() - 0.5) * 3000;
        coverage.hit(jumpMs < 0 ? "clock set back" : "clock set forward");
        this.clockOffsetMs += jumpMs;
        return;
      }
      case "stalls":
        coverage.hit("storage stalled");
        this.log.stall(chaos.nextFloat() * 500);
        return;
      case "tailLosses":
        this.down(node, true);
        this.loseTail();
        return;
      case "leaderLosses":
        this.loseLeader();
        return;
      case "operator":
        if (node.isOpen) this.operator.meddle(node);
        return;
      case "acksLost":
      case "appendsUnknown":
      case "appendsRefused":
      case "poison":
    }
  }

  /** The servers lose power together with the node: what they lost was never there, and all they have was. */
  private loseTail(): void {
    const { log, history, clients, ledger: before } = this;
    log.loseTail();
    this.sends.tailLost();
    history.keep(({ partition, sequence }) => log.frames.frame(partition, sequence) !== undefined);
    this.ledger = before.anew();
    this.shadows = this.newShadows();
    for (const durable of history.frames) this.apply(durable);
    clients.tailLost(lostTail(before, this.ledger));
    this.ledger.inherit(before);
  }

  private loseLeader(): void {
    const { log, timeline, coverage } = this;
    if (!log.hasLeader) return;
    log.loseLeader();
    const election = ++this.elections;
    this.unresumed++;
    const backAtMs = timeline.nowMs + log.leaderlessMs;
    timeline.after(log.leaderlessMs + RESUMED_MS, () => {
      this.unresumed--;
      if (election < this.elections) return;
      promise(
        (this.node?.waitsSinceMs ?? Infinity) >= backAtMs,
        () => `a frame waits since before there was a leader again`,
      );
      coverage.hit("service resumed with a leader");
    });
  }

  /** Another node takes all partitions while the old one lives on. */
  private takeOver(old: SimNode): void {
    this.coverage.hit("node taken over");
    this.zombies.push(old);
    old.superseded = true;
    const node = this.nodeOf();
    this.node = node;
    node.start(false, () => {
      this.operator.converge(node);
      this.timeline.after(this.chaos.nextFloat() ** 2 * ZOMBIE_MS_MAX, () => {
        old.stop(false);
        this.zombies = this.zombies.filter((zombie) => zombie !== old);
      });
    });
  }

  private heal(): void {
    this.healing = true;
    this.log.heal();
    this.mend();
  }

  private mend(): void {
    if (this.node?.isOpen === true) this.operator.mend(this.node);
    this.timeline.after(MEND_EVERY_MS, () => {
      this.mend();
    });
  }

  // --- Checks -------------------------------------------------------------------------------------------

  private compareNowAndThen(processor: PartitionProcessor): void {
    const { clients, limits } = processor.state;
    promise(
      clients.size <= limits.clientIdsMax,
      () => `${clients.size} client ids of ${limits.clientIdsMax}`,
    );
    if (!this.checks.chance(COMPARED)) return;
    this.compare(processor, "state compared live");
  }

  /** Where all of the live state is durable, it is what the log says. */
  private compare(processor: PartitionProcessor, branch: Branch): void {
    const { frames } = processor;
    const shadow = this.shadows[processor.id]!;
    const isQuiet = frames.stateFrameNo === frames.committedFrameNo && !frames.hasDeferred;
    if (!isQuiet || shadow.frames !== frames.committedFrameNo) return;
    this.coverage.hit(branch);
    const found = difference(processor.state, shadow.state);
    promise(found === undefined, () => `partition ${processor.id}: ${found ?? ""}`);
  }

  private checkLeaving(result: PackedResult, reply: Buffer | undefined): void {
    if (reply === undefined) return;
    const { sender, receiver } = envelopeParts(reply, 0);
    const isLogged = !reply.toString("latin1", sender, receiver).startsWith(EPHEMERAL);
    const id = tokenOf(reply, 0);
    promise(
      !isLogged || this.ledger.replies.has(id),
      () => `the reply ${id} to request ${result.requestId} left before it was durable`,
    );
  }

  private processors(): PartitionProcessor[] {
    const { node } = this;
    if (node === undefined) return [];
    return this.shadows.flatMap((_, p) => node.processor(p) ?? []);
  }

  private isDone(): boolean {
    if (
      !this.healing ||
      this.clients.active > 0 ||
      !this.sends.isDone ||
      this.node?.isOpen !== true
    )
      return false;
    return (
      this.zombies.length + this.unresumed === 0 &&
      this.node.isQuiet &&
      this.processors().every((p) => isIdle(p))
    );
  }

  private stuck(): string {
    const states = this.processors()
      .filter((processor) => !isIdle(processor))
      .map(describe);
    return `${this.clients.active} requests open, unsettled: ${this.sends.unsettled}; node ${this.node?.isOpen === true ? "open" : "down"}\n${states.join("\n")}`;
  }

  private checkEnd(): void {
    for (const processor of this.processors()) {
      const shadow = this.shadows[processor.id]!;
      promise(
        shadow.frames === processor.frames.committedFrameNo,
        () => `partition ${processor.id} is not where its log is`,
      );
      this.compare(processor, "state compared live");
      const { evicted } = processor.state.deadLetters;
      if (evicted > 0) this.coverage.hit("dead letter evicted", evicted);
    }
    const untaken = this.ledger.untaken();
    promise(untaken.length === 0, () => untaken.join("\n"));
    this.sends.checkEnd(this.ledger.accepted);
    for (const token of this.clients.acked) this.checkKept(token);
    for (const token of this.ledger.born) this.checkEnded(token);
    this.checkPoison();
    for (const actor of this.diverged) {
      promise(this.ledger.drifted.has(actor), () => `${actor} diverged and never drifted`);
    }
  }

  private checkKept(token: string): void {
    const isUnlogged = this.clients.isUnlogged(token);
    promise(
      isUnlogged || this.ledger.accepted.has(token),
      () => `${token} was acknowledged and is lost`,
    );
  }

  private checkEnded(token: string): void {
    const isDead = this.shadows.some(({ deadLettered }) => deadLettered.has(token));
    promise(
      isDead || this.ledger.handled.has(token),
      () => `${token} was neither handled nor is it a dead letter`,
    );
  }

  private checkPoison(): void {
    // With other crashes about, and when one is enough, chance may strike the innocent.
    // Starting over because a partition was contended counts as one: others were open by then.
    const isAlone =
      this.swarm.crashIntentsMax > 1 &&
      !this.coverage.counts.has("partition contended") &&
      [...this.swarm.faults].every(
        (fault) => !["kills", "powerLosses", "workerKills", "takeovers"].includes(fault),
      );
    for (const { deadLettered } of this.shadows) {
      for (const [token, { code, intents }] of deadLettered) {
        if (code !== "PROCESS_CRASH") continue;
        promise(
          !isAlone || this.clients.poison.has(token),
          () => `${token} is innocent and was blamed for ${intents} crashes`,
        );
      }
    }
  }
}
