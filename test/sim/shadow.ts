/**
 * The state every partition would recover to, kept up to date as frames become durable: what live state is
 * compared with, and where bounds are checked.
 */
import type { Environment } from "../../src/actors/environment.ts";
import { PartitionRecovery } from "../../src/actors/partition/recovery.ts";
import { PartitionState } from "../../src/actors/partition/partition-state.ts";
import type { PendingMessage } from "../../src/actors/partition/message.ts";
import { FLAG_FAILURE, FLAG_REPLY, FLAG_TIMER } from "../../src/actors/wasm/envelope.ts";
import { promise } from "./failure.ts";
import { tokenOf } from "./plan.ts";
import type { Swarm } from "./swarm.ts";

export interface DeadLettered {
  readonly code: string;
  readonly intents: number;
}

export class Shadow {
  readonly state: PartitionState;
  frames = 0;
  /** Every message that ever became a dead letter. */
  readonly deadLettered = new Map<string, DeadLettered>();
  private readonly recovery: PartitionRecovery;

  constructor(
    id: number,
    swarm: Swarm,
    incarnation: number,
    environment: (id: number) => Environment,
  ) {
    const { partitions, limits } = swarm;
    const state = new PartitionState({ id, partitions, incarnation }, limits);
    this.state = state;
    this.recovery = new PartitionRecovery(state, environment);
    const deadLetter = state.deadLetter.bind(state);
    state.deadLetter = (message, ...rest) => {
      const { bytes, offset, intents } = message;
      this.deadLettered.set(tokenOf(bytes, offset), { code: rest[2], intents });
      deadLetter(message, ...rest);
    };
  }

  apply(sequence: number, frame: Buffer): void {
    this.recovery.apply(sequence, frame);
    this.frames = sequence;
    this.checkBounds();
  }

  private checkBounds(): void {
    const { state } = this;
    const { limits } = state;
    promise(state.deadLetters.size <= limits.deadLettersMax, () => "too many dead letters");
    for (const actor of state.actors) {
      const { manifest } = actor.agent.environment;
      const letters = [...actor.inbox].filter(isLetter).length;
      promise(
        letters <= manifest.limits.mailboxMessagesMax,
        () => `${actor.address} holds ${letters} messages`,
      );
      promise(
        actor.stateBytes <= manifest.limits.stateBytesMax,
        () => `${actor.address} has ${actor.stateBytes} bytes of state`,
      );
      promise(actor.timers.size <= manifest.limits.timersMax, () => `${actor.address}: timers`);
      promise(actor.asks <= manifest.limits.asksPendingMax, () => `${actor.address}: asks`);
      const { next } = { next: actor.next() };
      promise(
        next === undefined || next.attempts <= manifest.attemptsMax,
        () => `${actor.address}: ${next?.attempts ?? 0} attempts`,
      );
    }
  }
}

function isLetter({ flags }: PendingMessage): boolean {
  return (flags & (FLAG_REPLY | FLAG_FAILURE | FLAG_TIMER)) === 0;
}
