/**
 * The partition processor: turns inputs into frames and, once a frame is durable, into deliveries. It is
 * synchronous and does no IO; a driver appends the frames and brings everything in and out.
 *
 * 1. Every change of state is an entry of the frame that fills; nothing leaves before its frame is durable.
 * 2. One partition has one processor at a time, and a processor one epoch.
 */
import type { Clock } from "../../base/clock.ts";
import { MinHeap } from "../../base/heap.ts";
import type { SeededRandom } from "../../base/random.ts";
import { ACCEPTED_OVERHEAD_BYTES, SOURCE_SYSTEM, SOURCE_TIMER } from "../../storage/frame-codec.ts";
import type { Environment } from "../environment.ts";
import type { ReplayResult, TurnExecutor } from "../turn-batch.ts";
import { FLAG_TIMER, encodeEnvelope } from "../wasm/envelope.ts";
import { IDLE, RECOVERING } from "./actor.ts";
import type { Actor } from "./actor.ts";
import { applyControl } from "./apply-control.ts";
import type { Control } from "./control.ts";
import { FramePipeline } from "./frame-pipeline.ts";
import { Mail, SMALL_ENTRY_BYTES, failureEnvelope } from "./mail.ts";
import type { MailPorts } from "./mail.ts";
import type { PartitionIdentity, PartitionState } from "./partition-state.ts";
import type { RecoveredPartition } from "./recovery.ts";
import { Probation } from "./probation.ts";
import type { SuspectLock } from "./probation.ts";
import { Turns } from "./turns.ts";
import { Upgrades } from "./upgrades.ts";

/** The rest of the node, as a processor needs it. */
export interface PartitionPorts extends MailPorts {
  readonly clock: Clock;
  readonly random: SeededRandom;
  readonly executor: TurnExecutor;
  readonly suspects: SuspectLock;
  environment(id: number): Environment;
  /** An actor goes over to another version of its agent. */
  upgraded(): void;
  /** An agent failed too often here: it is to be suspended everywhere. */
  escalate(agent: string, reason: string): void;
}

export class PartitionProcessor {
  readonly id: number;
  readonly state: PartitionState;
  readonly ports: PartitionPorts;
  readonly frames: FramePipeline;
  readonly mail: Mail;
  readonly turns: Turns;
  private readonly upgrades: Upgrades;
  private readonly probation: Probation;
  private readonly backoff = new MinHeap<Actor>();
  private newestMs = 0;
  turnsReplayed = 0;
  /** Messages accepted and not handled when this owner took over. */
  readonly recoveredPending: number;

  constructor(
    identity: PartitionIdentity,
    state: PartitionState,
    { log, checkpointFrameNo }: RecoveredPartition,
    ports: PartitionPorts,
  ) {
    this.id = identity.id;
    this.state = state;
    this.ports = ports;
    this.recoveredPending = state.pending;
    const nowMs = (): number => this.nowMs();
    this.frames = new FramePipeline(
      identity,
      log,
      checkpointFrameNo,
      state.limits.frameBytesMax,
      nowMs,
    );
    this.mail = new Mail(state, this.frames, identity.incarnation, ports, nowMs, (actor) => {
      this.turns.wake(actor);
    });
    this.upgrades = new Upgrades(state, this.frames, this.mail, {
      executor: ports.executor,
      random: ports.random,
      nowMs,
      wake: (actor) => {
        this.turns.wake(actor);
      },
      upgraded: () => {
        ports.upgraded();
      },
      hold: (actor, code, reason) => {
        this.control({ kind: "hold", actor: actor.address, code, reason });
      },
    });
    this.probation = new Probation(this, ports.suspects);
    this.turns = new Turns(state, this.frames, this.mail, {
      executor: ports.executor,
      random: ports.random,
      nowMs,
      needsIntent: (message) => this.probation.needsIntent(message),
      isCleared: (actor, message) => this.probation.isCleared(actor, message),
      hasResult: (message) => {
        this.probation.hasResult(message);
      },
      mustUpgrade: (actor) => this.upgrades.isDue(actor),
      upgrade: (actor) => {
        this.upgrades.run(actor);
      },
      backOff: (actor, retryAtMs) => {
        this.backoff.push(retryAtMs, actor);
      },
      suspend: (agent, reason) => {
        this.control({ kind: "suspend", agent, reason });
        ports.escalate(agent, reason);
      },
    });
  }

  /** Never goes back, whatever the clock does. */
  nowMs(): number {
    this.newestMs = Math.max(this.newestMs, this.state.lastNowMs, this.ports.clock.wallMs());
    return this.newestMs;
  }

  /**
   * Takes up what recovery found unfinished: messages to handle, back-offs, undelivered messages.
   * After an unclean exit the messages that were pending are on probation.
   */
  resume(wasClean: boolean): void {
    if (!wasClean) this.probation.begin();
    for (const actor of this.state.actors) {
      if (actor.isOutdated && actor.handlers.size > 0) this.upgrades.drain(actor);
      if (actor.phase.kind === "backoff") this.backoff.push(actor.phase.retryAtMs, actor);
      else this.turns.wake(actor);
    }
    this.mail.resume();
  }

  // --- Time ---------------------------------------------------------------------------------------------

  /** When `tick` has something to do next; Infinity for never. */
  get nextTickMs(): number {
    if (this.probation.isWaiting) return 0;
    const { timerQueue, askDeadlines } = this.state;
    const { upgrades, backoff } = this;
    return Math.min(timerQueue.minKey, askDeadlines.minKey, backoff.minKey, upgrades.nextTickMs);
  }

  /** Fires what is due. */
  tick(): void {
    const nowMs = this.nowMs();
    this.probation.tick();
    this.upgrades.tick();
    this.endBackoffs(nowMs);
    this.fireTimers(nowMs);
    this.expireAsks(nowMs);
  }

  private endBackoffs(nowMs: number): void {
    while (this.backoff.minKey <= nowMs) {
      const actor = this.backoff.pop()!;
      if (actor.phase.kind !== "backoff" || actor.phase.retryAtMs > nowMs) continue;
      actor.phase = IDLE;
      this.turns.wake(actor);
    }
  }

  private fireTimers(nowMs: number): void {
    const { state, frames } = this;
    while (state.timerQueue.minKey <= nowMs && !frames.hasDeferred) {
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
  }

  private expireAsks(nowMs: number): void {
    const { state, frames } = this;
    while (state.askDeadlines.minKey <= nowMs && !frames.hasDeferred) {
      const ask = state.askDeadlines.pop()!;
      if (state.asks.get(ask.number) !== ask) continue;
      const envelope = failureEnvelope({
        id: "",
        sender: ask.actor.address,
        receiver: ask.actor.address,
        inReplyTo: undefined,
        correlation: BigInt(ask.number),
        code: "ASK_TIMEOUT",
        reason: "no reply came before the deadline",
      });
      this.acceptOwn(SOURCE_SYSTEM, ask.actor, envelope);
    }
  }

  private acceptOwn(kind: number, actor: Actor, envelope: Buffer): void {
    if (actor.agent.isEphemeral) {
      this.mail.delivered(this.state.deliver(envelope, 0, envelope.length, -1));
      return;
    }
    this.frames.whenRoom(ACCEPTED_OVERHEAD_BYTES + envelope.length, () => {
      this.mail.accept(kind, 0, 0, envelope, 0, envelope.length);
    });
  }

  // --- Replay -------------------------------------------------------------------------------------------

  /** Claims an idle actor that nobody has called yet, for its replay. */
  warm(actor: Actor): boolean {
    const isCold = actor.live === undefined && actor.hasMemory;
    const isDurable = actor.turns.lastSequence <= this.frames.committedFrameNo;
    if (!isCold || !isDurable || actor.phase.kind !== "idle") return false;
    actor.phase = RECOVERING;
    return true;
  }

  replayed(actor: Actor, result: ReplayResult): void {
    if (actor.phase.kind !== "recovering") return;
    actor.phase = IDLE;
    if (result.kind === "ok") {
      this.turns.wake(actor);
      return;
    }
    const { code, reason } = result;
    this.control({ kind: "hold", actor: actor.address, code, reason });
  }

  // --- Control ------------------------------------------------------------------------------------------

  /** Journals a change and applies it; `done` is called when it is durable. */
  control(control: Control, done?: () => void): void {
    const json = JSON.stringify(control);
    this.frames.whenRoom(SMALL_ENTRY_BYTES + Buffer.byteLength(json), () => {
      this.frames.writer.control(json);
      const follow = applyControl(this.state, control, (id) => this.ports.environment(id));
      for (const actor of follow.dropped) this.ports.executor.drop(actor);
      for (const { sender, root, code, reason } of follow.failures) {
        this.mail.sendFailure(sender, root, code, reason);
      }
      for (const delivery of follow.deliveries) this.mail.delivered(delivery);
      for (const actor of follow.draining) this.upgrades.drain(actor);
      for (const actor of follow.wake) this.turns.wake(actor);
      this.mail.disposeUndelivered();
      this.probation.review();
      if (done !== undefined) this.frames.afterCommit(done);
    });
  }
}
