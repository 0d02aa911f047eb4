/**
 * After an unclean exit of the process any message that was pending may be the one that killed it. Each is
 * tried behind a durable intent; after `crashIntentsMax` intents without a result it is given up and its
 * actor is held.
 *
 * 1. A message on probation runs only when its newest intent is durable.
 * 2. Messages with an earlier intent (suspects) run one at a time on the whole node, so that the next
 *    crash blames the right one.
 */
import { Queue } from "../../base/queue.ts";
import type { Actor } from "./actor.ts";
import { SMALL_ENTRY_BYTES } from "./mail.ts";
import type { PendingMessage } from "./message.ts";
import type { PartitionProcessor } from "./processor.ts";

/** The node's permission to try one suspect. */
export interface SuspectLock {
  tryAcquire(partition: number): boolean;
  release(partition: number): void;
}

interface Suspect {
  readonly actor: Actor;
  readonly message: PendingMessage;
}

export class Probation {
  private readonly processor: PartitionProcessor;
  private readonly lock: SuspectLock;
  private readonly suspects = new Queue<Suspect>();
  private readonly requested = new Set<PendingMessage>();
  private readonly cleared = new Set<PendingMessage>();
  private trying: PendingMessage | undefined;

  constructor(processor: PartitionProcessor, lock: SuspectLock) {
    this.processor = processor;
    this.lock = lock;
  }

  /** Suspects wait for the lock. */
  get isWaiting(): boolean {
    return this.trying === undefined && this.suspects.length > 0;
  }

  /** Puts all pending messages on probation and gives up those that were tried too often. */
  begin(): void {
    const { state } = this.processor;
    for (const actor of state.actors) {
      if (actor.agent.isEphemeral) continue;
      for (const message of [...actor.inbox, ...actor.answers]) message.probation = true;
      const next = actor.next();
      if (next === undefined || next.intents < state.limits.crashIntentsMax) continue;
      const reason = `the process ended ${String(next.intents)} times while it was tried`;
      next.probation = false;
      this.processor.turns.giveUp(actor, next, "PROCESS_CRASH", reason);
      this.processor.control({
        kind: "hold",
        actor: actor.address,
        code: "PROCESS_CRASH",
        reason,
      });
    }
  }

  /** Whether the message may run; if not, sees to its intent. */
  isCleared(actor: Actor, message: PendingMessage): boolean {
    if (!message.probation || this.cleared.has(message)) return true;
    if (this.requested.has(message)) return false;
    this.requested.add(message);
    if (message.intents > 0) {
      this.suspects.push({ actor, message });
      this.tick();
    } else {
      this.clearByIntent(actor, message);
    }
    return false;
  }

  private clearByIntent(actor: Actor, message: PendingMessage): void {
    const { frames, turns } = this.processor;
    frames.whenRoom(SMALL_ENTRY_BYTES, () => {
      message.intents++;
      frames.writer.intent(message.seq, message.intents);
      frames.filling.afterCommit.push(() => {
        this.cleared.add(message);
        turns.wake(actor);
      });
    });
  }

  /** Tries the next suspect when it is this partition's turn. */
  tick(): void {
    if (!this.isWaiting || !this.lock.tryAcquire(this.processor.id)) return;
    const suspect = this.suspects.shift()!;
    this.trying = suspect.message;
    this.clearByIntent(suspect.actor, suspect.message);
  }

  /** The message ran, whatever came of it, and the process lives. */
  hasResult(message: PendingMessage): void {
    message.probation = false;
    this.requested.delete(message);
    this.cleared.delete(message);
    if (this.trying !== message) return;
    this.trying = undefined;
    this.lock.release(this.processor.id);
    this.tick();
  }
}
