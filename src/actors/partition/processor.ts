/**
 * The partition processor: turns inputs into frames and, once a frame is durable, into deliveries. It is
 * synchronous and does no IO; a driver appends the frames and brings everything in and out.
 *
 * Owns the partition's state and its two frame buffers.
 * 1. Every change of state is an entry of the frame that fills; nothing leaves before its frame is durable.
 * 2. One frame is in flight at most; meanwhile the next one fills.
 * 3. What finds no room in the frame waits in `deferred`, in order; until that is empty no turn starts.
 * 4. An actor is in the ready queue or in a running batch exactly when its phase is `ready`.
 */
import { invariant } from "../../base/assert.ts";
import type { Clock } from "../../base/clock.ts";
import type { ErrorCode } from "../../base/errors.ts";
import { MinHeap } from "../../base/heap.ts";
import { Queue } from "../../base/queue.ts";
import type { SeededRandom } from "../../base/random.ts";
import {
  ACCEPTED_DISCARDED,
  ACCEPTED_OVERHEAD_BYTES,
  FRAME_FLAG_EPOCH,
  SOURCE_EPHEMERAL,
  SOURCE_PARTITION,
  SOURCE_SYSTEM,
  SOURCE_TIMER,
  TURN_OVERHEAD_BYTES,
} from "../../storage/frame-codec.ts";
import type { Environment } from "../environment.ts";
import { TURN_DONE, TURN_FAILED, TURN_LEFT_OPEN } from "../turn-batch.ts";
import type { ReplayResult, SendCounter, TurnBatch, TurnExecutor } from "../turn-batch.ts";
import {
  AT_CORRELATION,
  FLAG_CLIENT,
  FLAG_FAILURE,
  FLAG_REPLY,
  FLAG_TIMER,
  FLAG_WANTS_REPLY,
  encodeEnvelope,
  envelopeFlags,
  envelopeParts,
} from "../wasm/envelope.ts";
import { messageIdPrefix, writeMessageId, MESSAGE_NUMBER_BYTES } from "../wasm/message-id.ts";
import { IDLE, READY, RECOVERING } from "./actor.ts";
import { applyControl } from "./apply-control.ts";
import type { Actor, OpenHandler, RootMessage } from "./actor.ts";
import type { Control } from "./control.ts";
import type { PendingMessage } from "./message.ts";
import { Probation } from "./probation.ts";
import type { SuspectLock } from "./probation.ts";
import { OpenFrame } from "./open-frame.ts";
import type { Outbound } from "./open-frame.ts";
import type { PartitionIdentity, PartitionState, Delivery } from "./partition-state.ts";
import { EFFECT_AT_FLAGS, EFFECT_UNNUMBERED, applyEffects, receiverHash } from "./turn-effects.ts";
import type { SendRouter } from "./turn-effects.ts";
import { logPosition } from "./turn-index.ts";

/** Messages one actor handles before others get their turn. */
const QUANTUM = 16;
const PLANNED_PER_BATCH_MAX = 512;
/** Room kept for the small entries that dispose of messages. */
const SMALL_ENTRY_BYTES = 2048;
const REASON_CHARACTERS_MAX = 500;

export interface SealedFrame {
  readonly partition: number;
  readonly frameNo: number;
  /** `null` for the epoch frame, the only append without an expected sequence. */
  readonly expectedSequence: number | null;
  readonly frame: Buffer;
}

export interface CommittedFrame {
  readonly frame: OpenFrame;
  readonly outbound: readonly Outbound[];
  /** Newest number accepted from each source partition. */
  readonly accepted: ReadonlyMap<number, number>;
}

/** The rest of the node, as a processor needs it. */
export interface PartitionPorts {
  readonly clock: Clock;
  readonly random: SeededRandom;
  readonly executor: TurnExecutor;
  environment(id: number): Environment;
  /** True when the actor's agent (`namespace/name`) keeps no log. */
  isEphemeral(bytes: Buffer, from: number, to: number): boolean;
  /** A message between ephemeral ends, or to one: no frame carries it. */
  sendUnlogged(destination: number, bytes: Buffer, offset: number, length: number): void;
  readonly suspects: SuspectLock;
  /** An agent failed too often here: it is suspended everywhere. */
  escalate(agent: string, reason: string): void;
}

export interface RecoveredLog {
  readonly lastFrameNo: number;
  readonly lastCrc: number;
  readonly epoch: number;
}

export class PartitionProcessor {
  readonly id: number;
  readonly state: PartitionState;
  readonly ports: PartitionPorts;
  private readonly incarnation: number;
  private readonly idPrefix: Buffer;
  private readonly counter: SendCounter;
  private readonly router: SendRouter;
  private readonly ready = new Queue<Actor>();
  private readonly backoff = new MinHeap<Actor>();
  private readonly deferred = new Queue<{ bytes: number; run: () => void }>();
  private readonly undelivered: Extract<Delivery, { kind: "undeliverable" }>[] = [];
  private readonly needReplay: Actor[] = [];
  private filling: OpenFrame;
  private spare: OpenFrame;
  private inFlight: OpenFrame | undefined;
  private lastCrc: number;
  readonly currentEpoch: number;
  /** Frame that fills now. */
  frameNo: number;
  committedFrameNo: number;
  turnsReplayed = 0;
  /** Messages accepted and not handled when this owner took over. */
  readonly recoveredPending: number;
  private planned = 0;
  private epochSealed = false;
  private readonly probation: Probation;

  constructor(
    identity: PartitionIdentity,
    state: PartitionState,
    log: RecoveredLog,
    ports: PartitionPorts,
  ) {
    this.id = identity.id;
    this.incarnation = identity.incarnation;
    this.state = state;
    this.ports = ports;
    this.idPrefix = messageIdPrefix(identity.incarnation, identity.id);
    this.counter = { idPrefix: this.idPrefix, nextSendNo: 0, roomBytes: 0 };
    this.filling = new OpenFrame(state.limits.frameBytesMax);
    this.spare = new OpenFrame(state.limits.frameBytesMax);
    this.lastCrc = log.lastCrc;
    this.currentEpoch = log.epoch + 1;
    this.frameNo = log.lastFrameNo + 1;
    this.committedFrameNo = log.lastFrameNo;
    this.router = {
      route: (bytes, entry, offset, length, hash) => {
        this.route(bytes, entry, offset, length, hash);
      },
    };
    this.recoveredPending = state.pending;
    this.probation = new Probation(this, ports.suspects);
    this.filling.reuse(this.nowMs());
  }

  nowMs(): number {
    return Math.max(this.state.lastNowMs, this.ports.clock.wallMs());
  }

  // --- Frames -------------------------------------------------------------------------------------------

  /** Begins this owner's epoch; `opened` is called when its frame is durable. */
  startEpoch(opened: () => void): void {
    this.filling.afterCommit.push(opened);
  }

  /** The frame that opens the epoch; nothing else may be sealed before it is durable. */
  sealEpochOnce(): SealedFrame | undefined {
    if (this.epochSealed) return undefined;
    this.epochSealed = true;
    return this.sealFilling(FRAME_FLAG_EPOCH, null);
  }

  /** The frame to append now, if there is one and none is in flight. */
  seal(): SealedFrame | undefined {
    if (this.inFlight !== undefined || this.filling.writer.isEmpty) return undefined;
    return this.sealFilling(0, this.frameNo - 1);
  }

  private sealFilling(flags: number, expectedSequence: number | null): SealedFrame {
    const { frame, payloadCrc } = this.filling.writer.seal({
      flags,
      partition: this.id,
      epoch: this.currentEpoch,
      incarnation: this.incarnation,
      frameNo: this.frameNo,
      previousCrc: this.lastCrc,
    });
    const sealed = { partition: this.id, frameNo: this.frameNo, expectedSequence, frame };
    this.lastCrc = payloadCrc;
    this.inFlight = this.filling;
    this.filling = this.spare;
    this.filling.reuse(this.nowMs());
    this.frameNo++;
    this.runDeferred();
    return sealed;
  }

  /**
   * The frame in flight is durable. The caller hands its `outbound` on before it comes back here: the
   * buffer is reused.
   */
  committed(frameNo: number): CommittedFrame {
    const frame = this.inFlight;
    invariant(frame !== undefined && frameNo === this.frameNo - 1, "the frame was in flight");
    this.inFlight = undefined;
    this.spare = frame;
    this.committedFrameNo = frameNo;
    frame.evacuate();
    for (const action of frame.afterCommit) action();
    return { frame, outbound: frame.outbound, accepted: frame.accepted };
  }

  /** Runs once all that has happened so far is durable. */
  afterCommit(action: () => void): void {
    if (!this.filling.writer.isEmpty || this.deferred.length > 0) {
      this.filling.afterCommit.push(action);
    } else if (this.inFlight !== undefined) this.inFlight.afterCommit.push(action);
    else action();
  }

  /** Runs an action that writes up to `bytes` into the frame, now or when a frame has room for it. */
  whenRoom(bytes: number, run: () => void): void {
    if (this.deferred.length === 0 && this.filling.writer.roomBytes >= bytes) run();
    else this.deferred.push({ bytes, run });
  }

  private runDeferred(): void {
    for (let next = this.deferred.peek(); next !== undefined; next = this.deferred.peek()) {
      if (this.filling.writer.roomBytes < next.bytes) return;
      this.deferred.shift();
      next.run();
    }
  }

  /** The frame that makes the present state durable. */
  get stateFrameNo(): number {
    return this.filling.writer.isEmpty ? this.frameNo - 1 : this.frameNo;
  }

  // --- Messages in --------------------------------------------------------------------------------------

  /** A message of another partition. False when it is not the next of its source: refetch from there. */
  acceptRelay(source: number, n: number, bytes: Buffer, offset: number, length: number): boolean {
    const cursor = this.relayCursor(source);
    if (n <= cursor) return true;
    if (n > cursor + 1) return false;
    this.relayCursors.set(source, n);
    const need = ACCEPTED_OVERHEAD_BYTES + length;
    if (this.deferred.length === 0 && this.filling.writer.roomBytes >= need) {
      this.writeRelay(source, n, bytes, offset, length);
    } else {
      const copy = Buffer.from(bytes.subarray(offset, offset + length) as Uint8Array);
      this.whenRoom(need, () => {
        this.writeRelay(source, n, copy, 0, length);
      });
    }
    return true;
  }

  /** Numbers taken from each source, those that wait for room included. */
  private readonly relayCursors = new Map<number, number>();

  relayCursor(source: number): number {
    return this.relayCursors.get(source) ?? this.state.cursors.get(source) ?? 0;
  }

  private writeRelay(
    source: number,
    n: number,
    bytes: Buffer,
    offset: number,
    length: number,
  ): void {
    this.accept(SOURCE_PARTITION, source, n, bytes, offset, length);
    this.filling.accepted.set(source, n);
  }

  /** Writes the accepted entry and brings the message to its mailbox. */
  accept(
    kind: number,
    source: number,
    n: number,
    bytes: Buffer,
    offset: number,
    length: number,
  ): Delivery {
    const { state, filling } = this;
    const discarded = this.isLateAnswer(bytes, offset);
    const flags = discarded ? kind | ACCEPTED_DISCARDED : kind;
    const at = filling.writer.accepted(
      flags,
      source,
      this.incarnation,
      n,
      bytes,
      offset,
      length,
    );
    if (kind === SOURCE_PARTITION) state.advanceCursor(source, n);
    if (discarded) return { kind: "discarded" };
    const delivery = state.deliver(filling.writer.bytes, at, length, this.position(at));
    this.delivered(delivery);
    this.disposeUndelivered();
    return delivery;
  }

  private isLateAnswer(bytes: Buffer, offset: number): boolean {
    if ((envelopeFlags(bytes, offset) & (FLAG_REPLY | FLAG_FAILURE)) === 0) return false;
    return !this.state.asks.has(Number(bytes.readBigUInt64LE(offset + AT_CORRELATION)));
  }

  /** A message that no log holds: from or to an ephemeral actor. */
  acceptUnlogged(bytes: Buffer, offset: number, length: number): void {
    const parts = envelopeParts(bytes, offset);
    if (!this.ports.isEphemeral(bytes, parts.receiver, parts.extensions)) {
      const copy = Buffer.from(bytes.subarray(offset, offset + length) as Uint8Array);
      this.whenRoom(ACCEPTED_OVERHEAD_BYTES + length, () => {
        this.accept(SOURCE_EPHEMERAL, 0, 0, copy, 0, length);
      });
      return;
    }
    const delivery = this.state.deliver(bytes, offset, length, -1);
    this.delivered(delivery);
    if (delivery.kind !== "undeliverable") return;
    this.state.consume(undefined, delivery.message.seq);
    this.answerFailure(delivery.message, delivery.code, "the message was not delivered");
  }

  private delivered(delivery: Delivery): void {
    if (delivery.kind === "enqueued") {
      if (delivery.message.logPosition >= 0) this.filling.messages.push(delivery.message);
      this.wake(delivery.actor);
    } else if (delivery.kind === "undeliverable") {
      if (delivery.message.logPosition < 0) return;
      this.filling.messages.push(delivery.message);
      this.undelivered.push(delivery);
    }
  }

  /** Writes why messages reached no mailbox. */
  disposeUndelivered(): void {
    for (let next = this.undelivered.pop(); next !== undefined; next = this.undelivered.pop()) {
      const { message, code } = next;
      const reason = UNDELIVERABLE[code];
      this.whenRoom(SMALL_ENTRY_BYTES, () => {
        this.filling.writer.deadLetter(message.seq, 0, code, reason);
        this.state.consume(undefined, message.seq);
        this.state.deadLetter(message, 0, code, reason);
        this.answerFailure(message, code, reason);
      });
    }
  }

  private position(offset: number): number {
    return logPosition(this.frameNo, offset);
  }

  /** Sends of a turn that is being written, and of the processor itself. */
  private route(bytes: Buffer, entry: number, offset: number, length: number, hash: number): void {
    const { state, filling } = this;
    const destination = state.destinationOf(hash);
    const parts = envelopeParts(bytes, offset);
    if (this.ports.isEphemeral(bytes, parts.receiver, parts.extensions)) {
      if (entry >= 0) bytes[entry + EFFECT_AT_FLAGS] = EFFECT_UNNUMBERED;
      filling.outbound.push({ destination, n: 0, offset, length });
    } else if (destination === this.id) {
      this.delivered(state.deliver(bytes, offset, length, this.position(offset)));
    } else {
      const n = state.outbox(destination).add(this.position(offset), length);
      filling.outbound.push({ destination, n, offset, length });
    }
  }

  // --- Turns --------------------------------------------------------------------------------------------

  /** Puts the actor in the ready queue when it has something to handle. */
  wake(actor: Actor): void {
    if (actor.phase.kind !== "idle" || actor.agent.suspended !== undefined) return;
    if (actor.next() === undefined) return;
    actor.phase = READY;
    this.ready.push(actor);
  }

  get hasReady(): boolean {
    return this.ready.length > 0 && this.mayRun;
  }

  /** Held back while the frame is full or receivers have not taken what was sent. */
  private get mayRun(): boolean {
    return this.deferred.length === 0 && this.state.outboxBytes <= this.state.limits.outboxBytesMax;
  }

  /** Adds turns to the batch. */
  plan(batch: TurnBatch): void {
    if (!this.mayRun) return;
    this.counter.nextSendNo = this.state.nextSendNo;
    this.counter.roomBytes = this.filling.writer.roomBytes - TURN_OVERHEAD_BYTES;
    this.planned = 0;
    let looks = this.ready.length;
    while (looks-- > 0 && this.planned < PLANNED_PER_BATCH_MAX && !batch.isFull) {
      const actor = this.ready.shift()!;
      this.planActor(batch, actor);
    }
  }

  private planActor(batch: TurnBatch, actor: Actor): void {
    if (actor.phase.kind !== "ready") return;
    if (actor.agent.suspended !== undefined || actor.next() === undefined) {
      actor.phase = IDLE;
      return;
    }
    if (actor.live === undefined && actor.turns.length > 0) {
      actor.phase = RECOVERING;
      this.needReplay.push(actor);
      return;
    }
    if (!this.probation.isCleared(actor, actor.next()!)) {
      actor.phase = IDLE;
      return;
    }
    const single = actor.handlers.size > 0 || actor.answers.length > 0 || actor.guardedTurns > 0;
    const most = single ? 1 : Math.min(QUANTUM, actor.inbox.length);
    for (let k = 0; k < most && !batch.isFull; k++) {
      const message = single ? actor.next()! : actor.inbox.at(k)!;
      if (k > 0 && !this.probation.isCleared(actor, message)) return;
      const handler = actor.handlers.get(message.rootSeq);
      batch.plan(actor, message, handler, this.ports.random.nextUint32(), this.counter);
      this.planned++;
    }
  }

  /** Takes over what the batch's turns [from, to) did. */
  settle(batch: TurnBatch, from: number, to: number): void {
    const ran = Math.min(to, batch.ran);
    for (let i = from; i < ran; i++) {
      const status = batch.status[i];
      if (status === TURN_DONE || status === TURN_LEFT_OPEN) this.settleDone(batch, i);
      else if (status === TURN_FAILED) this.settleFailed(batch, i);
    }
    for (let i = from; i < to; i++) {
      const actor = batch.actors[i]!;
      actor.stateDraft = undefined;
      actor.stateDraftBytes = 0;
      if (actor.phase !== READY || actor.settledInBatch === batch.number) continue;
      actor.settledInBatch = batch.number;
      actor.phase = IDLE;
      this.wake(actor);
    }
  }

  private settleDone(batch: TurnBatch, i: number): void {
    const actor = batch.actors[i]!;
    const message = batch.messages[i]!;
    const handler = batch.handlers[i];
    const from = batch.ringFrom[i]!;
    const to = batch.ringTo[i]!;
    const open = batch.status[i] === TURN_LEFT_OPEN;
    this.state.nextSendNo = batch.sendNoEnd[i]!;
    if (batch.nowMs > this.state.lastNowMs) this.state.lastNowMs = batch.nowMs;
    if (message.probation) this.probation.hasResult(message);
    this.state.turns++;
    actor.turnsTotal++;
    actor.agent.messagesHandled++;
    if (actor.agent.isEphemeral) {
      this.finishTurn(actor, message, handler, open, batch.ring.bytes, from, to, this.unlogged);
      return;
    }
    const digest = batch.ring.digest(from, to);
    const base = batch.sendNoBase[i]!;
    const seed = batch.seeds[i]!;
    const { nowMs } = batch;
    const bytes = TURN_OVERHEAD_BYTES + to - from;
    const write = (effects: Buffer, start: number, end: number): void => {
      this.writeTurn(actor, message, handler, open, base, nowMs, seed, digest, effects, start, end);
    };
    if (this.deferred.length === 0 && this.filling.writer.roomBytes >= bytes) {
      write(batch.ring.bytes, from, to);
      return;
    }
    const copy = Buffer.from(batch.ring.bytes.subarray(from, to) as Uint8Array);
    this.whenRoom(bytes, () => {
      write(copy, 0, copy.length);
    });
  }

  private writeTurn(
    actor: Actor,
    message: PendingMessage,
    handler: OpenHandler | undefined,
    open: boolean,
    sendNoBase: number,
    nowMs: number,
    seed: number,
    digest: number,
    effects: Buffer,
    from: number,
    to: number,
  ): void {
    const { writer } = this.filling;
    const at = writer.turn(
      message.seq,
      handler?.root.seq ?? 0,
      sendNoBase,
      nowMs,
      seed,
      actor.agent.environment.id,
      digest,
      open,
      effects,
      from,
      to,
    );
    const entry = this.position(at - TURN_OVERHEAD_BYTES);
    actor.turns.add(entry, TURN_OVERHEAD_BYTES, message.logPosition, message.length);
    this.finishTurn(actor, message, handler, open, writer.bytes, at, at + to - from, this.router);
    if (this.undelivered.length > 0) this.disposeUndelivered();
  }

  private finishTurn(
    actor: Actor,
    message: PendingMessage,
    handler: OpenHandler | undefined,
    open: boolean,
    bytes: Buffer,
    from: number,
    to: number,
    router: SendRouter,
  ): void {
    const { state } = this;
    state.consume(actor, message.seq);
    const applied = applyEffects(state, actor, message, handler, bytes, from, to, router);
    const replied = applied.replied || (handler?.replied ?? false);
    const unanswered = state.settleHandler(actor, message, open, replied);
    if (unanswered !== undefined) {
      const reason = "the handler ended without a reply";
      state.completeClient(unanswered, { kind: "failure", code: "NO_REPLY", reason });
      this.sendFailure(actor.address, unanswered, "NO_REPLY", reason);
    }
  }

  /** Sends of ephemeral actors: nothing is durable, so they leave at once. */
  private readonly unlogged: SendRouter = {
    route: (bytes, _entry, offset, length, hash) => {
      this.ports.sendUnlogged(this.state.destinationOf(hash), bytes, offset, length);
    },
  };

  private settleFailed(batch: TurnBatch, i: number): void {
    const actor = batch.actors[i]!;
    const message = batch.messages[i]!;
    const failure = batch.failures.get(i)!;
    actor.settledInBatch = batch.number;
    this.ports.executor.rollBack(actor);
    this.failTurn(actor, message, failure.code, failure.reason.slice(0, REASON_CHARACTERS_MAX));
  }

  /** A turn failed and was rolled back: try again later, or give the message up. */
  failTurn(actor: Actor, message: PendingMessage, code: ErrorCode, reason: string): void {
    const { manifest } = actor.agent.environment;
    const nowMs = this.nowMs();
    const attempts = message.attempts + 1;
    const { initialMs, maxMs, factor } = manifest.backoff;
    const retryAtMs = nowMs + Math.min(maxMs, initialMs * factor ** (attempts - 1));
    actor.phase = { kind: "backoff", retryAtMs };
    const isLast = attempts >= manifest.attemptsMax;
    if (message.probation) this.probation.hasResult(message);
    const write = (): void => {
      if (!actor.agent.isEphemeral) {
        this.filling.writer.turnFailed(message.seq, attempts, retryAtMs, code, reason);
      }
      this.state.turnFailed(actor, message, attempts, nowMs);
      if (isLast) this.giveUp(actor, message, code, reason);
      else this.backoff.push(retryAtMs, actor);
      this.superviseRestart(actor, code, reason);
    };
    if (actor.agent.isEphemeral) write();
    else this.whenRoom(SMALL_ENTRY_BYTES, write);
  }

  /** The message becomes a dead letter and the actor goes on with the next one. */
  giveUp(actor: Actor, message: PendingMessage, code: ErrorCode, reason: string): void {
    const handler = actor.handlers.get(message.rootSeq);
    const { attempts } = message;
    const write = (): void => {
      if (!actor.agent.isEphemeral) {
        this.filling.writer.deadLetter(message.seq, attempts, code, reason);
      }
      this.state.giveUp(actor, message, code, reason);
      this.answerFailure(message, code, reason);
      if (handler !== undefined) this.sendFailure(actor.address, handler.root, code, reason);
      if (actor.phase.kind === "backoff") actor.phase = IDLE;
      this.wake(actor);
    };
    if (actor.agent.isEphemeral) write();
    else this.whenRoom(SMALL_ENTRY_BYTES, write);
  }

  private superviseRestart(actor: Actor, code: ErrorCode, reason: string): void {
    const { supervision } = actor.agent.environment.manifest;
    for (const sibling of this.state.siblings(actor)) {
      this.ports.executor.drop(sibling);
      this.state.recordRestart(sibling, this.nowMs());
    }
    if (actor.restartTimesMs.length <= supervision.restartsMax) return;
    const times = String(actor.restartTimesMs.length);
    const seconds = String(supervision.windowMs / 1000);
    const why = `${actor.address} failed ${times} times in ${seconds} s, last: ${code}: ${reason}`;
    this.control({ kind: "suspend", agent: actor.agent.name, reason: why });
    this.ports.escalate(actor.agent.name, why);
  }

  // --- Answers of the processor itself ------------------------------------------------------------------

  private answerFailure(message: PendingMessage, code: string, reason: string): void {
    if ((message.flags & FLAG_WANTS_REPLY) === 0) return;
    const { bytes, offset, flags, seq } = message;
    const content = envelopeParts(bytes, offset).content;
    const root: RootMessage = { seq, flags, envelope: bytes.subarray(offset, content) };
    const parts = envelopeParts(root.envelope, 0);
    const receiver = root.envelope.toString("latin1", parts.receiver, parts.extensions);
    this.sendFailure(receiver, root, code, reason);
  }

  /** Tells an asking actor that there will be no reply. Clients learn it from the client ids. */
  sendFailure(sender: string, root: RootMessage, code: string, reason: string): void {
    if ((root.flags & FLAG_WANTS_REPLY) === 0 || (root.flags & FLAG_CLIENT) !== 0) return;
    const parts = envelopeParts(root.envelope, 0);
    const receiver = root.envelope.toString("latin1", parts.sender, parts.receiver);
    const inReplyTo = root.envelope.toString("utf8", parts.id, parts.sender);
    const correlation = root.envelope.readBigUInt64LE(AT_CORRELATION);
    this.whenRoom(SMALL_ENTRY_BYTES, () => {
      const sendNo = this.state.nextSendNo++;
      const id = Buffer.alloc(MESSAGE_NUMBER_BYTES);
      writeMessageId(id, 0, this.idPrefix, sendNo);
      const envelope = failureEnvelope({
        id: id.toString("latin1"),
        sender,
        receiver,
        inReplyTo,
        correlation,
        code,
        reason,
      });
      const at = this.filling.writer.systemSend(sendNo, envelope, 0, envelope.length);
      const { bytes } = this.filling.writer;
      this.route(bytes, -1, at, envelope.length, receiverHash(bytes, at));
      this.disposeUndelivered();
    });
  }

  // --- Time ---------------------------------------------------------------------------------------------

  /** When `tick` has something to do next; Infinity for never. */
  get nextTickMs(): number {
    const { timerQueue, askDeadlines } = this.state;
    if (this.probation.isWaiting) return 0;
    return Math.min(timerQueue.minKey, askDeadlines.minKey, this.backoff.minKey);
  }

  /** Fires what is due. */
  tick(): void {
    const nowMs = this.nowMs();
    const { state } = this;
    this.probation.tick();
    while (this.backoff.minKey <= nowMs) {
      const actor = this.backoff.pop()!;
      if (actor.phase.kind !== "backoff" || actor.phase.retryAtMs > nowMs) continue;
      actor.phase = IDLE;
      this.wake(actor);
    }
    if (this.deferred.length > 0) return;
    while (state.timerQueue.minKey <= nowMs && this.deferred.length === 0) {
      const timer = state.timerQueue.pop()!;
      if (!state.isSet(timer)) continue;
      const envelope = encodeEnvelope({
        flags: FLAG_TIMER,
        id: "",
        sender: timer.actor.address,
        receiver: timer.actor.address,
        content: timer.payload,
        correlation: timer.id,
      });
      this.acceptOwn(SOURCE_TIMER, timer.actor, envelope);
    }
    while (state.askDeadlines.minKey <= nowMs && this.deferred.length === 0) {
      const ask = state.askDeadlines.pop()!;
      if (state.asks.get(ask.number) !== ask) continue;
      const envelope = failureEnvelope({
        id: "",
        sender: ask.actor.address,
        receiver: ask.actor.address,
        inReplyTo: "",
        correlation: BigInt(ask.number),
        code: "ASK_TIMEOUT",
        reason: "no reply came before the deadline",
      });
      this.acceptOwn(SOURCE_SYSTEM, ask.actor, envelope);
    }
  }

  private acceptOwn(kind: number, actor: Actor, envelope: Buffer): void {
    if (actor.agent.isEphemeral) {
      this.delivered(this.state.deliver(envelope, 0, envelope.length, -1));
      return;
    }
    this.whenRoom(ACCEPTED_OVERHEAD_BYTES + envelope.length, () => {
      this.accept(kind, 0, 0, envelope, 0, envelope.length);
    });
  }

  // --- Replay -------------------------------------------------------------------------------------------

  /** Actors whose memory must be rebuilt, all of whose turns are durable. */
  takeReplays(): Actor[] {
    if (this.needReplay.length === 0) return [];
    const now = this.needReplay.filter((a) => a.turns.lastSequence <= this.committedFrameNo);
    const later = this.needReplay.filter((a) => a.turns.lastSequence > this.committedFrameNo);
    this.needReplay.length = 0;
    this.needReplay.push(...later);
    return now;
  }

  /** Claims an idle actor that nobody has called yet, for its replay. */
  warm(actor: Actor): boolean {
    const isCold = actor.live === undefined && actor.turns.length > 0;
    const isDurable = actor.turns.lastSequence <= this.committedFrameNo;
    if (!isCold || !isDurable || actor.phase.kind !== "idle") return false;
    actor.phase = RECOVERING;
    return true;
  }

  replayed(actor: Actor, result: ReplayResult): void {
    if (actor.phase.kind !== "recovering") return;
    actor.phase = IDLE;
    if (result.kind === "ok") {
      this.wake(actor);
      return;
    }
    this.control({
      kind: "hold",
      actor: actor.address,
      code: "REPLAY_DIVERGED",
      reason: result.reason,
    });
  }

  // --- Control ------------------------------------------------------------------------------------------

  /** Journals a change and applies it. */
  control(control: Control): void {
    const json = JSON.stringify(control);
    this.whenRoom(SMALL_ENTRY_BYTES + json.length * 3, () => {
      this.filling.writer.control(json);
      const followUp = applyControl(this.state, control, (id) => this.ports.environment(id));
      for (const actor of followUp.dropped) this.ports.executor.drop(actor);
      for (const { sender, root, code, reason } of followUp.failures) {
        this.sendFailure(sender, root, code, reason);
      }
      for (const delivery of followUp.deliveries) this.delivered(delivery);
      for (const actor of followUp.wake) this.wake(actor);
      this.disposeUndelivered();
    });
  }

  /** A durable note that the message is about to be tried. */
  writeIntent(message: PendingMessage, cleared: () => void): void {
    this.whenRoom(SMALL_ENTRY_BYTES, () => {
      message.intents++;
      this.filling.writer.intent(message.seq, message.intents);
      this.filling.afterCommit.push(cleared);
    });
  }

  /**
   * Takes up what recovery found unfinished: messages to handle, back-offs, undelivered messages.
   * After an unclean exit the messages that were pending are on probation.
   */
  resume(wasClean: boolean): void {
    if (!wasClean) this.probation.begin();
    for (const actor of this.state.actors) {
      if (actor.phase.kind === "backoff") this.backoff.push(actor.phase.retryAtMs, actor);
      else this.wake(actor);
    }
    this.undelivered.push(...this.state.undelivered());
    this.disposeUndelivered();
  }
}

const UNDELIVERABLE = {
  AGENT_NOT_FOUND: "no agent of that name is deployed",
  MAILBOX_FULL: "the actor's mailbox is full",
  REENTRANT_ASK: "the ask came back to an actor whose handler is open in the same chain",
} as const;

function failureEnvelope(fields: {
  id: string;
  sender: string;
  receiver: string;
  inReplyTo: string;
  correlation: bigint;
  code: string;
  reason: string;
}): Buffer {
  return encodeEnvelope({
    flags: FLAG_FAILURE,
    id: fields.id,
    sender: fields.sender,
    receiver: fields.receiver,
    performative: "failure",
    contentType: "text/plain",
    content: Buffer.from(fields.reason),
    correlation: fields.correlation,
    inReplyTo: fields.inReplyTo === "" ? undefined : fields.inReplyTo,
    errorCode: fields.code,
  });
}
