/** What clients ask for: plans drawn from the seed. */
import type { SeededRandom } from "../../src/base/random.ts";
import {
  AGENTS,
  DRIFTING,
  EPHEMERAL,
  MISSING,
  REENTRANT,
  TEMPORARY,
  WORK,
  addressOf,
} from "./agents.ts";
import type { Deed, Op, Plan } from "./plan.ts";
import { pick } from "./swarm.ts";
import type { Swarm } from "./swarm.ts";

const DEPTH_MAX = 3;
const FLOOD = 12;
const WALK_STEPS = 40;
const DEEDS: readonly Deed[] = ["trap", "fail", "fuel", "slow", "big", "flaky", "flaky"];

export class Workload {
  private readonly swarm: Swarm;
  private readonly random: SeededRandom;
  private poisonsLeft: number;

  constructor(swarm: Swarm, random: SeededRandom) {
    this.swarm = swarm;
    this.random = random;
    this.poisonsLeft = swarm.faults.has("poison") ? poisonsOf(swarm) : 0;
  }

  receiver(): string {
    const { random, swarm } = this;
    const chance = random.nextFloat();
    const key = random.below(swarm.keys);
    if (chance < 0.55) return addressOf(WORK, key);
    if (chance < 0.57) return addressOf(MISSING, key);
    const others = AGENTS.filter((agent) => agent !== DRIFTING || swarm.drifters);
    return addressOf(pick(random, others), key);
  }

  /** Whether the plan makes the process crash is said of its own message, not of those it sends. */
  plan(receiver: string): { plan: Plan; poison: boolean } {
    const { random } = this;
    if (random.chance(0.01)) return { plan: { ops: [], padding: "x".repeat(3000) }, poison: false };
    const canPoison = receiver.startsWith(WORK) || receiver.startsWith(REENTRANT);
    if (random.chance(0.15)) {
      const walk: Op = { op: "walk", steps: WALK_STEPS, keys: this.swarm.keys };
      return { plan: { ops: [walk] }, poison: false };
    }
    if (this.poisonsLeft > 0 && canPoison && random.chance(0.1)) {
      this.poisonsLeft--;
      return { plan: { ops: [...this.ops(receiver, DEPTH_MAX), { op: "crash" }] }, poison: true };
    }
    return { plan: { ops: this.ops(receiver, 0) }, poison: false };
  }

  private ops(self: string, depth: number): Op[] {
    const { random } = this;
    const ops: Op[] = [];
    if (self.startsWith(DRIFTING)) ops.push({ op: "drift" });
    const count = depth >= DEPTH_MAX ? random.below(2) : random.below(4);
    for (let i = 0; i < count; i++) ops.push(...this.op(self, depth));
    if (random.chance(this.swarm.badHandlers)) ops.push({ op: pick(random, DEEDS) });
    if (random.chance(0.6)) ops.push({ op: "reply", bytes: random.below(100) });
    return ops;
  }

  private op(self: string, depth: number): Op[] {
    const { random } = this;
    const chance = random.nextFloat();
    const leaf = depth >= DEPTH_MAX;
    if (chance < 0.25 && !leaf) {
      const to = this.receiver();
      return [{ op: "send", to, plan: { ops: this.ops(to, depth + 1) } }];
    }
    if (chance < 0.45 && !leaf) return [this.ask(self, depth)];
    if (chance < 0.5 && !leaf) {
      const to = random.chance(0.3) ? self : this.receiver();
      const flood: Op = { op: "send", to, plan: { ops: this.ops(to, DEPTH_MAX) } };
      return Array.from({ length: FLOOD }, () => flood);
    }
    if (chance < 0.6) {
      return [{ op: "put", key: `s${random.below(3)}`, bytes: random.below(1200) }];
    }
    if (chance < 0.65) return [{ op: "delete", key: `s${random.below(3)}` }];
    if (chance < 0.75) {
      const ops = leaf ? [] : this.ops(self, depth + 1);
      const kind = random.chance(0.7) ? "timer" : "replace-timer";
      return [{ op: kind, ms: random.below(300), plan: { ops } }];
    }
    if (chance < 0.8) return [{ op: "cancel" }];
    if (chance < 0.9) {
      const then = leaf ? [] : this.ops(self, depth + 1);
      return [{ op: "sleep", ms: random.below(200), then }];
    }
    return [{ op: "log" }];
  }

  private ask(self: string, depth: number): Op {
    const { random } = this;
    // Towards itself now and then: such an ask can't be answered.
    const to = random.chance(0.1) ? self : this.receiver();
    const plan: Plan = { ops: this.asked(self, to, depth) };
    const ms = pick(random, [20, 300, 2000]);
    return { op: "ask", to, ms, plan, then: this.ops(self, depth + 1) };
  }

  private asked(self: string, to: string, depth: number): Op[] {
    const { random } = this;
    if (random.chance(0.15)) {
      // A circle.
      return [
        { op: "ask", to: self, ms: 1000, plan: { ops: [] }, then: [{ op: "reply", bytes: 10 }] },
      ];
    }
    return this.ops(to, depth + 1);
  }

  isOrdered(receiver: string): boolean {
    return !receiver.startsWith(EPHEMERAL) && !receiver.startsWith(TEMPORARY);
  }
}

/** One more crash than poisons is within what the innocent may be blamed for. */
function poisonsOf({ crashIntentsMax }: Swarm): number {
  return Math.max(1, crashIntentsMax - 1);
}
