/**
 * After an unclean exit of the process any message that was pending may be the one that killed it. Each is
 * tried behind a durable intent; after `crashIntentsMax` intents without a result it is given up and its
 * actor is held.
 *
 * 1. A message on probation runs only when its newest intent is durable.
 * 2. Messages with an earlier intent (suspects) run one at a time on the whole node, so that the next
 *    crash blames the right one.
 * 3. For a while what is accepted goes on probation, too: a message that its client sends again after each
 *    crash would run before it is durable and leave no trace.
 */
import { Queue } from "../../base/queue.ts";
import type { Actor } from "./actor.ts";
import { SMALL_ENTRY_BYTES } from "./mail.ts";
import type { PendingMessage } from "./message.ts";
import type { PartitionProcessor } from "./processor.ts";

const WARY_MS = 30_000;

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
  /** Messages whose intent is durable, with their actors. */
  private readonly cleared = new Map<PendingMessage, Actor>();
  private trying: Suspect | undefined;
  private waryUntilMs = 0;

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
    this.waryUntilMs = this.processor.nowMs() + WARY_MS;
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

  needsIntent(message: PendingMessage): boolean {
    if (this.isWary() && message.attempts === 0 && message.logPosition >= 0) {
      message.probation = true;
    }
    return message.probation;
  }

  /**
   * Whether the actor's next message may run; if not, sees to it that it may later. Asked of no other: an
   * intent says that the message is about to be tried.
   */
  isCleared(actor: Actor, message: PendingMessage): boolean {
    if (!this.needsIntent(message) || this.cleared.has(message)) return true;
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

  private isWary(): boolean {
    if (this.waryUntilMs === 0) return false;
    if (this.processor.nowMs() >= this.waryUntilMs) this.waryUntilMs = 0;
    return this.waryUntilMs !== 0;
  }

  private clearByIntent(actor: Actor, message: PendingMessage): void {
    const { frames, turns } = this.processor;
    frames.whenRoom(SMALL_ENTRY_BYTES, () => {
      // What waited for room before may have ended it: the log can't say more of it.
      if (message.consumed) {
        this.requested.delete(message);
        if (this.trying?.message === message) this.next();
        return;
      }
      message.intents++;
      frames.writer.intent(message.seq, message.intents);
      frames.filling.afterCommit.push(() => {
        this.cleared.set(message, actor);
        if (isRunnable(actor, message)) turns.wake(actor);
        else this.withdraw(message);
      });
    });
  }

  /** It will not be tried now: its intent must not stand for a try. */
  private withdraw(message: PendingMessage): void {
    const { frames } = this.processor;
    this.requested.delete(message);
    this.cleared.delete(message);
    frames.whenRoom(SMALL_ENTRY_BYTES, () => {
      // It ran in the batch that brought this about, and its result was only waiting for room.
      if (message.consumed || !message.probation) return;
      message.intents--;
      frames.writer.intent(message.seq, message.intents);
    });
  }

  /** Tries the next suspect when it is this partition's turn. */
  tick(): void {
    while (this.isWaiting) {
      const { actor, message } = this.suspects.peek()!;
      if (!isRunnable(actor, message)) {
        this.suspects.shift();
        this.requested.delete(message);
        continue;
      }
      if (!this.lock.tryAcquire(this.processor.id)) return;
      this.suspects.shift();
      this.trying = { actor, message };
      this.clearByIntent(actor, message);
    }
  }

  /** The message ran, its entry is written, and the process lives. */
  hasResult(message: PendingMessage): void {
    message.probation = false;
    this.requested.delete(message);
    this.cleared.delete(message);
    if (this.trying?.message !== message) return;
    // A crash before the result is durable would find the message pending, with one more intent.
    this.processor.frames.afterCommit(() => {
      this.next();
    });
  }

  /** Something changed from outside: what can't run now must not hold back suspects, nor count as tried. */
  review(): void {
    for (const [message, actor] of this.cleared) {
      if (!isRunnable(actor, message)) this.withdraw(message);
    }
    if (this.trying === undefined) return;
    const { actor, message } = this.trying;
    if (message.probation && !isRunnable(actor, message)) this.next();
  }

  private next(): void {
    this.trying = undefined;
    this.lock.release(this.processor.id);
    this.tick();
  }
}

function isRunnable(actor: Actor, message: PendingMessage): boolean {
  const mayRun = actor.phase.kind !== "held" && actor.agent.suspended === undefined;
  return mayRun && !message.consumed;
}
