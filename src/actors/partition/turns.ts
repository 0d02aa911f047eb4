/**
 * Which turns run next, and what becomes of those that ran.
 *
 * Owns the ready queue.
 * 1. An actor is in the ready queue or in a running batch exactly when its phase is `ready`.
 * 2. No turn starts while something waits for room in a frame, or while receivers lag behind.
 * 3. A failed turn changes nothing but its message's attempts and its actor's restarts.
 */
import { copyOf } from "../../base/bytes.ts";
import type { ErrorCode } from "../../base/errors.ts";
import { Queue } from "../../base/queue.ts";
import type { SeededRandom } from "../../base/random.ts";
import { MOVED_OVERHEAD_BYTES, TURN_OVERHEAD_BYTES } from "../../storage/frame-codec.ts";
import { TURN_DONE, TURN_FAILED, TURN_LEFT_OPEN, TURN_SKIPPED } from "../turn-batch.ts";
import type { SendCounter, TurnBatch, TurnExecutor } from "../turn-batch.ts";
import { TurnFigures } from "../turn-figures.ts";
import { IDLE, READY, RECOVERING } from "./actor.ts";
import type { Actor, Handler } from "./actor.ts";
import type { FramePipeline } from "./frame-pipeline.ts";
import type { Mail } from "./mail.ts";
import { SMALL_ENTRY_BYTES } from "./mail.ts";
import type { PendingMessage } from "./message.ts";
import { NO_REPLY_REASON } from "./partition-state.ts";
import type { PartitionState } from "./partition-state.ts";
import { type AppliedEffects, applyEffects } from "./turn-effects.ts";
import type { SendRouter } from "./turn-effects.ts";
import { sequenceOf } from "./turn-index.ts";

/** Messages one actor handles before others get their turn. */
const QUANTUM = 16;
const PLANNED_PER_BATCH_MAX = 1024;
const REASON_CHARACTERS_MAX = 500;

/** A turn that ran, with where its effects are. */
interface FinishedTurn {
  readonly actor: Actor;
  readonly message: PendingMessage;
  readonly handler: Handler | undefined;
  readonly open: boolean;
  readonly sendNoBase: number;
  readonly nowMs: number;
  readonly seed: number;
  readonly environment: number;
  readonly digest: number;
}

export interface TurnPorts {
  readonly executor: TurnExecutor;
  readonly random: SeededRandom;
  nowMs(): number;
  /** Whether a message may only run behind an intent. */
  needsIntent(message: PendingMessage): boolean;
  /** Whether an actor's next message may run; false for one that waits for its intent. */
  isCleared(actor: Actor, message: PendingMessage): boolean;
  /** A message on probation has run and its entry is written. */
  hasResult(message: PendingMessage): void;
  /** Whether the actor has to go over to its agent's newest version before it handles anything. */
  mustUpgrade(actor: Actor): boolean;
  upgrade(actor: Actor): void;
  /** The actor waits until its time to retry. */
  backOff(actor: Actor, retryAtMs: number): void;
  /** An actor failed more often than its supervision allows. */
  suspend(agent: string, reason: string): void;
}

export class Turns {
  private readonly state: PartitionState;
  private readonly frames: FramePipeline;
  private readonly mail: Mail;
  private readonly ports: TurnPorts;
  private readonly counter: SendCounter;
  private readonly ready = new Queue<Actor>();
  private needReplay: Actor[] = [];
  private planned = 0;
  /** No turn starts: a checkpoint waits for the state to agree with the sealed frames. */
  paused = false;

  constructor(state: PartitionState, frames: FramePipeline, mail: Mail, ports: TurnPorts) {
    this.state = state;
    this.frames = frames;
    this.mail = mail;
    this.ports = ports;
    this.counter = { idPrefix: state.idPrefix, nextSendNo: 0, roomBytes: 0 };
  }

  /** Puts the actor in the ready queue when it has something to handle. */
  wake(actor: Actor): void {
    if (actor.phase.kind !== "idle" || actor.agent.suspended !== undefined) return;
    if (actor.next() === undefined && !this.ports.mustUpgrade(actor)) return;
    actor.phase = READY;
    // One that was held and released meanwhile is there already: twice, it would run a message twice.
    if (actor.isQueued) return;
    actor.isQueued = true;
    this.ready.push(actor);
  }

  get hasReady(): boolean {
    return this.ready.length > 0 && this.mayRun;
  }

  private get mayRun(): boolean {
    const { frames, state } = this;
    if (this.paused) return false;
    return frames.hasRoom(SMALL_ENTRY_BYTES) && state.outboxBytes <= state.limits.outboxBytesMax;
  }

  // --- Before the batch ---------------------------------------------------------------------------------

  /** Adds turns to the batch. */
  plan(batch: TurnBatch): void {
    if (!this.mayRun) return;
    this.planned = 0;
    let looks = this.ready.length;
    while (looks-- > 0 && this.planned < PLANNED_PER_BATCH_MAX && !batch.isFull) {
      this.planActor(batch, this.ready.shift()!);
    }
    // Behind the planning: an actor that goes over to another version may send and write.
    this.counter.nextSendNo = this.state.nextSendNo;
    this.counter.roomBytes = this.frames.writer.roomBytes - TURN_OVERHEAD_BYTES;
  }

  private planActor(batch: TurnBatch, actor: Actor): void {
    actor.isQueued = false;
    if (actor.phase.kind !== "ready") return;
    const next = actor.next();
    const goesOver = this.ports.mustUpgrade(actor);
    if (actor.agent.suspended !== undefined || (next === undefined && !goesOver)) {
      actor.phase = IDLE;
      return;
    }
    // Before the message's intent: a crash while memory comes back is not the message's fault.
    if (actor.live === undefined && actor.hasMemory) {
      actor.phase = RECOVERING;
      this.needReplay.push(actor);
      return;
    }
    if (goesOver || next === undefined) {
      actor.phase = IDLE;
      this.ports.upgrade(actor);
      return;
    }
    if (!this.ports.isCleared(actor, next)) {
      actor.phase = IDLE;
      return;
    }
    const single = actor.handlers.size > 0 || actor.answers.length > 0 || actor.guardedTurns > 0;
    const most = single ? 1 : Math.min(QUANTUM, actor.inbox.length);
    for (let k = 0; k < most && !batch.isFull; k++) {
      const message = single ? next : actor.inbox.at(k)!;
      if (k > 0 && this.ports.needsIntent(message)) return;
      const handler = actor.handlers.get(message.rootSeq);
      batch.plan(actor, message, handler, this.ports.random.nextUint32(), this.counter);
      this.planned++;
    }
  }

  /** Actors whose memory must be rebuilt, all of whose turns are durable. */
  takeReplays(): Actor[] {
    if (this.needReplay.length === 0) return this.needReplay;
    const isDurable = (actor: Actor): boolean =>
      actor.turns.lastSequence <= this.frames.committedFrameNo;
    const now = this.needReplay.filter(isDurable);
    this.needReplay = this.needReplay.filter((actor) => !isDurable(actor));
    return now;
  }

  // --- After the batch ----------------------------------------------------------------------------------

  /** Takes over what the batch's turns [from, to) did. */
  settle(batch: TurnBatch, from: number, to: number): void {
    const ran = Math.min(to, batch.ran);
    // Before anything is settled: what the partition itself sends must not take a number of a later turn.
    this.state.nextSendNo = Math.max(this.state.nextSendNo, this.counter.nextSendNo);
    const nowMs = this.ports.nowMs();
    for (let i = from; i < ran; i++) {
      const status = batch.status[i];
      if (status === TURN_SKIPPED) continue;
      (batch.actors[i]!.agent.figures ??= new TurnFigures()).count(batch, i, nowMs);
      if (status === TURN_DONE || status === TURN_LEFT_OPEN) this.settleDone(batch, i);
      else if (status === TURN_FAILED) this.settleFailed(batch, i);
    }
    for (let i = from; i < to; i++) {
      const actor = batch.actors[i]!;
      actor.stateDraft = undefined;
      actor.stateDraftBytes = 0;
      actor.asksDraft = 0;
      actor.timersDraft = 0;
      if (actor.phase !== READY || actor.settledInBatch === batch.number) continue;
      actor.settledInBatch = batch.number;
      actor.phase = IDLE;
      this.wake(actor);
    }
  }

  private settleDone(batch: TurnBatch, i: number): void {
    const actor = batch.actors[i]!;
    const message = batch.messages[i]!;
    const from = batch.ringFrom[i]!;
    const to = batch.ringTo[i]!;
    if (batch.nowMs > this.state.lastNowMs) this.state.lastNowMs = batch.nowMs;
    const turn: FinishedTurn = {
      actor,
      message,
      handler: batch.handlers[i],
      open: batch.status[i] === TURN_LEFT_OPEN,
      sendNoBase: batch.sendNoBase[i]!,
      nowMs: batch.nowMs,
      seed: batch.seeds[i]!,
      environment: actor.environment.id,
      digest: actor.agent.isEphemeral ? 0 : batch.ring.digest(from, to),
    };
    const { bytes } = batch.ring;
    if (actor.agent.isEphemeral) {
      this.finish(turn, bytes, from, to, this.mail.unlogged);
      return;
    }
    const need = TURN_OVERHEAD_BYTES + to - from;
    if (sequenceOf(message.logPosition) < this.state.logFloor) this.move(message);
    if (this.frames.hasRoom(need)) {
      this.write(turn, bytes, from, to);
      return;
    }
    const copy = copyOf(bytes, from, to - from);
    actor.unwritten++;
    this.frames.whenRoom(need, () => {
      actor.unwritten--;
      this.write(turn, copy, 0, copy.length);
    });
  }

  /** The log may no longer hold the message: replay of its turn will need it. */
  private move(message: PendingMessage): void {
    this.frames.whenRoom(MOVED_OVERHEAD_BYTES + message.length, () => {
      const { seq, bytes, offset, length } = message;
      const at = this.frames.writer.moved(seq, bytes, offset, length);
      message.logPosition = this.frames.position(at);
    });
  }

  private write(turn: FinishedTurn, effects: Buffer, from: number, to: number): void {
    const { actor, message, handler } = turn;
    const { writer } = this.frames;
    const at = writer.turn(
      message.seq,
      handler?.rootSeq ?? 0,
      turn.sendNoBase,
      turn.nowMs,
      turn.seed,
      turn.environment,
      turn.digest,
      turn.open,
      message.logPosition,
      effects,
      from,
      to,
    );
    const entry = this.frames.position(at - TURN_OVERHEAD_BYTES);
    actor.turns.add(entry, message.logPosition, message.length);
    const { events } = this.finish(turn, writer.bytes, at, at + to - from, this.mail.logged);
    if (events > 0) this.frames.filling.hasEvents = true;
    this.mail.disposeUndelivered();
    if (message.probation) this.ports.hasResult(message);
  }

  private finish(
    turn: FinishedTurn,
    bytes: Buffer,
    from: number,
    to: number,
    router: SendRouter,
  ): AppliedEffects {
    const { state } = this;
    const { actor, message, open } = turn;
    state.turnDone(actor);
    state.consume(actor, message.seq);
    const handler = state.beginHandler(actor, message, open);
    const applied = applyEffects(state, actor, handler, bytes, from, to, router);
    if (!open && state.endHandler(handler)) {
      this.mail.sendFailure(actor.address, handler.root, "NO_REPLY", NO_REPLY_REASON);
    }
    return applied;
  }

  // --- Failures -----------------------------------------------------------------------------------------

  private settleFailed(batch: TurnBatch, i: number): void {
    const actor = batch.actors[i]!;
    const { code, reason } = batch.failures.get(i)!;
    actor.settledInBatch = batch.number;
    this.ports.executor.rollBack(actor);
    this.fail(actor, batch.messages[i]!, code, reason.slice(0, REASON_CHARACTERS_MAX));
  }

  /** A turn failed and was rolled back: try again later, or give the message up. */
  private fail(actor: Actor, message: PendingMessage, code: ErrorCode, reason: string): void {
    const { manifest } = actor.environment;
    const { initialMs, maxMs, factor } = manifest.backoff;
    const nowMs = this.ports.nowMs();
    const attempts = message.attempts + 1;
    const retryAtMs = nowMs + Math.min(maxMs, initialMs * factor ** (attempts - 1));
    actor.phase = { kind: "backoff", retryAtMs };
    this.whenWritable(actor, () => {
      if (!actor.agent.isEphemeral) {
        const { seq, logPosition } = message;
        const failure = { seq, messagePosition: logPosition, attempts, code, reason };
        this.frames.writer.turnFailed({ ...failure, atMs: retryAtMs });
      }
      this.state.turnFailed(actor, message, attempts, nowMs);
      if (attempts >= manifest.attemptsMax) this.giveUp(actor, message, code, reason);
      else this.ports.backOff(actor, retryAtMs);
      if (message.probation) this.ports.hasResult(message);
      this.superviseRestart(actor, code, reason);
    });
  }

  /** Ephemeral actors need no room in a frame. */
  private whenWritable(actor: Actor, write: () => void): void {
    if (actor.agent.isEphemeral) write();
    else this.frames.whenRoom(SMALL_ENTRY_BYTES, write);
  }

  /** The message becomes a dead letter and the actor goes on with the next one. */
  giveUp(actor: Actor, message: PendingMessage, code: ErrorCode, reason: string): void {
    const handler = actor.handlers.get(message.rootSeq);
    this.whenWritable(actor, () => {
      const nowMs = this.ports.nowMs();
      if (!actor.agent.isEphemeral) {
        const { seq, logPosition, attempts } = message;
        const failure = { seq, messagePosition: logPosition, attempts, code, reason };
        this.frames.writer.deadLetter({ ...failure, atMs: nowMs });
      }
      this.state.giveUp(actor, message, nowMs, code, reason);
      this.mail.answerFailure(message, code, reason);
      if (handler !== undefined && !handler.replied) {
        this.mail.sendFailure(actor.address, handler.root, code, reason);
      }
      if (actor.phase.kind === "backoff") actor.phase = IDLE;
      this.wake(actor);
    });
  }

  private superviseRestart(actor: Actor, code: ErrorCode, reason: string): void {
    const { supervision } = actor.environment.manifest;
    for (const sibling of this.state.siblings(actor)) this.ports.executor.drop(sibling);
    if (actor.restartTimesMs.length <= supervision.restartsMax) return;
    const times = String(actor.restartTimesMs.length);
    const seconds = String(supervision.windowMs / 1000);
    const why = `${actor.address} failed ${times} times in ${seconds} s, last: ${code}: ${reason}`;
    this.ports.suspend(actor.agent.name, why);
  }
}
