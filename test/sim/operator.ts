/** People who meddle: they suspend, hold, reset, deploy, remove and retry at any moment; in the end they mend. */
import type { SeededRandom } from "../../src/base/random.ts";
import type { Control } from "../../src/actors/partition/control.ts";
import type { Environment } from "../../src/actors/environment.ts";
import { AGENTS, TEMPORARY, environmentOf } from "./agents.ts";
import { tokenOf } from "./plan.ts";
import type { SimNode } from "./sim-node.ts";
import { pick } from "./swarm.ts";
import type { Swarm } from "./swarm.ts";

export class Operator {
  private readonly swarm: Swarm;
  private readonly random: SeededRandom;
  readonly environments = new Map<number, Environment>();
  /** Newest environment of each agent. */
  private readonly current = new Map<string, number>();
  /** Dead letters that were retried: their order is not promised. */
  readonly retried = new Set<string>();

  constructor(swarm: Swarm, random: SeededRandom) {
    this.swarm = swarm;
    this.random = random;
    for (const agent of AGENTS) this.newEnvironment(agent);
  }

  private newEnvironment(agent: string): Environment {
    const environment = environmentOf(this.environments.size + 1, agent, this.swarm);
    this.environments.set(environment.id, environment);
    this.current.set(agent, environment.id);
    return environment;
  }

  private each(node: SimNode, control: Control): void {
    for (let p = 0; p < this.swarm.partitions; p++) this.do(node, p, control);
  }

  private do(node: SimNode, partition: number, control: Control): void {
    if (node.isReady(partition)) node.control(partition, control, () => undefined);
  }

  suspend(node: SimNode, agent: string, reason: string): void {
    this.each(node, { kind: "suspend", agent, reason });
  }

  /** Brings every partition to what is deployed. */
  converge(node: SimNode): void {
    for (let p = 0; p < this.swarm.partitions; p++) {
      const agents = node.processor(p)?.state.agents;
      for (const [agent, environment] of this.current) {
        if (agents === undefined || agents.get(agent)?.environment.id === environment) continue;
        this.do(node, p, { kind: "deploy", agent, environment, resetMemory: false });
      }
    }
  }

  meddle(node: SimNode): void {
    const { random } = this;
    const partition = random.below(this.swarm.partitions);
    const state = node.processor(partition)?.state;
    if (state === undefined) return;
    const agent = pick(random, AGENTS);
    const actors = [...state.actors].filter((actor) => !actor.agent.isEphemeral);
    const chance = random.nextFloat();
    if (chance < 0.1) this.suspend(node, agent, "an operator wants it so");
    else if (chance < 0.25) this.each(node, { kind: "resume", agent });
    else if (chance < 0.35) this.deploy(node, agent);
    else if (chance < 0.4) this.redeploy(node);
    else if (chance < 0.75 && actors.length > 0) {
      this.handle(node, partition, pick(random, actors).address);
    } else {
      const letters = [...state.deadLetters.values()];
      if (letters.length === 0) return;
      const { seq, envelope } = pick(random, letters);
      const kind = random.chance(0.7) ? "dead-letter-retry" : "dead-letter-drop";
      if (kind === "dead-letter-retry") this.retried.add(tokenOf(envelope, 0));
      this.do(node, partition, { kind, seq });
    }
  }

  private handle(node: SimNode, partition: number, actor: string): void {
    const { random } = this;
    const chance = random.nextFloat();
    if (chance < 0.3) this.do(node, partition, { kind: "reset", actor });
    else if (chance < 0.5) this.do(node, partition, { kind: "release", actor });
    else {
      this.do(node, partition, { kind: "hold", actor, code: "ACTOR_HELD", reason: "a look at it" });
      if (chance < 0.7) this.do(node, partition, { kind: "release", actor });
    }
  }

  private deploy(node: SimNode, agent: string): void {
    const environment = this.newEnvironment(agent);
    node.announce(environment);
    const resetMemory = this.random.chance(0.4);
    this.each(node, { kind: "deploy", agent, environment: environment.id, resetMemory });
  }

  private redeploy(node: SimNode): void {
    this.each(node, { kind: "remove", agent: TEMPORARY });
    this.deploy(node, TEMPORARY);
  }

  /** Everything that waits for a person gets one. */
  mend(node: SimNode): void {
    this.converge(node);
    for (let p = 0; p < this.swarm.partitions; p++) {
      const state = node.processor(p)?.state;
      if (state === undefined) continue;
      for (const { name, suspended } of state.agents.values()) {
        if (suspended !== undefined) this.do(node, p, { kind: "resume", agent: name });
      }
      for (const { phase, address } of state.actors) {
        if (phase.kind !== "held") continue;
        const kind = phase.code === "REPLAY_DIVERGED" ? "reset" : "release";
        this.do(node, p, { kind, actor: address });
      }
    }
  }
}
