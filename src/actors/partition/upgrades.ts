/**
 * Takes actors over to their agent's newest version: the old code exports its state, the new code imports it,
 * and the entry that holds that state is what replay of the new memory begins with.
 *
 * Owns the times at which actors with open handlers have to go.
 * 1. It happens between two turns and before the next; with no handler open, or after the drain time.
 * 2. An actor whose state can't be taken over is held with its old memory.
 */
import { MinHeap } from "../../base/heap.ts";
import type { SeededRandom } from "../../base/random.ts";
import { TURN_OVERHEAD_BYTES } from "../../storage/frame-codec.ts";
import type { TurnExecutor } from "../turn-batch.ts";
import type { Actor } from "./actor.ts";
import type { ClientOutcome } from "./client-ids.ts";
import type { FramePipeline } from "./frame-pipeline.ts";
import type { Mail } from "./mail.ts";
import type { PartitionState } from "./partition-state.ts";

const REASON = "its actor went over to another version of the agent";
export const UPGRADE_FAILURE: ClientOutcome = {
  kind: "failure",
  code: "AGENT_FAILED",
  reason: REASON,
};

export interface UpgradePorts {
  readonly executor: TurnExecutor;
  readonly random: SeededRandom;
  nowMs(): number;
  wake(actor: Actor): void;
  hold(actor: Actor, code: string, reason: string): void;
  /** The new code has the state; its entry is not durable yet. */
  upgraded(): void;
}

export class Upgrades {
  private readonly state: PartitionState;
  private readonly frames: FramePipeline;
  private readonly mail: Mail;
  private readonly ports: UpgradePorts;
  private readonly draining = new MinHeap<Actor>();

  constructor(state: PartitionState, frames: FramePipeline, mail: Mail, ports: UpgradePorts) {
    this.state = state;
    this.frames = frames;
    this.mail = mail;
    this.ports = ports;
  }

  get nextTickMs(): number {
    return this.draining.minKey;
  }

  /** The actor's handlers have until its agent's drain time. */
  drain(actor: Actor): void {
    this.draining.push(actor.agent.drainUntilMs, actor);
  }

  tick(): void {
    while (this.draining.minKey <= this.ports.nowMs()) {
      const actor = this.draining.pop()!;
      if (actor.isOutdated && actor.handlers.size > 0) this.ports.wake(actor);
    }
  }

  isDue(actor: Actor): boolean {
    if (!actor.isOutdated) return false;
    return actor.handlers.size === 0 || actor.agent.drainUntilMs <= this.ports.nowMs();
  }

  /** The actor's memory is live. Runs old and new code, and writes the entry when there is room for it. */
  run(actor: Actor): void {
    const { executor, random } = this.ports;
    const { environment } = actor.agent;
    const fields = {
      nowMs: this.ports.nowMs(),
      seed: random.nextUint32(),
      environment: environment.id,
    };
    const outcome = executor.upgrade(actor, fields);
    if (outcome.kind === "failed") {
      this.ports.hold(actor, outcome.code, outcome.reason);
      return;
    }
    this.ports.upgraded();
    const { state: exported } = outcome;
    const { addressBytes } = actor;
    actor.unwritten++;
    const need = TURN_OVERHEAD_BYTES + addressBytes.length + exported.length;
    this.frames.whenRoom(need, () => {
      actor.unwritten--;
      const { entry, state } = this.frames.writer.upgrade(fields, addressBytes, exported);
      const place = [this.frames.position(entry), this.frames.position(state)] as const;
      const roots = this.state.upgraded(actor, environment, ...place, exported.length);
      for (const root of roots) {
        this.state.completeClient(root, UPGRADE_FAILURE);
        this.mail.sendFailure(actor.address, root, "AGENT_FAILED", REASON);
      }
      this.ports.wake(actor);
    });
  }
}
