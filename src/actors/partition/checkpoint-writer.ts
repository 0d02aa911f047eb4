/**
 * A partition's state as a checkpoint holds it; docs/storage-format.md has the layout, checkpoint-reader.ts
 * the other half. Ephemeral actors are left out: they start empty.
 */
import { BinaryWriter } from "../../base/binary.ts";
import type { Actor, ActorPhase } from "./actor.ts";
import { writeHandlers, writeState } from "./actor-image.ts";
import type { ClientEntry } from "./client-ids.ts";
import type { DeadLetterRecord } from "./dead-letter-store.ts";
import type { RecoveredLog } from "./frame-pipeline.ts";
import type { Pack } from "./image-packs.ts";
import type { PendingMessage } from "./message.ts";
import type { Outbox } from "./outbox.ts";
import type { PartitionState } from "./partition-state.ts";
import { sequenceOf } from "./turn-index.ts";

export const CHECKPOINT_MAGIC = 0x31504b43; // "CKP1"
export const CHECKPOINT_VERSION = 3;

const PHASE_FREE = 0;
export const PHASE_BACKOFF = 1;
export const PHASE_HELD = 2;

const OUTCOME_NONE = 0;
export const OUTCOME_REPLY = 1;
export const OUTCOME_FAILURE = 2;

export interface WrittenCheckpoint {
  readonly content: Buffer<ArrayBuffer>;
  /** The checkpoint needs no frame below this one. */
  readonly logFloor: number;
  /** Packs it names, each with the bytes in it that are still of use. */
  readonly packs: ReadonlyMap<Pack, number>;
  /** Number of the oldest turn that an image does not have, Infinity when there is none. */
  readonly oldestTurn: number;
}

class CheckpointWriter {
  private readonly state: PartitionState;
  private readonly writer = new BinaryWriter();
  private readonly packs = new Map<Pack, number>();
  private logFloor: number;
  private oldestTurn = Infinity;

  constructor(state: PartitionState, stateFrameNo: number) {
    this.state = state;
    this.logFloor = stateFrameNo + 1;
  }

  write(log: RecoveredLog): WrittenCheckpoint {
    const { state, writer } = this;
    const agents = [...state.agents.values()];
    const actors = [...state.actors].filter((actor) => !actor.agent.isEphemeral);
    writer.u32(CHECKPOINT_MAGIC);
    writer.u32(CHECKPOINT_VERSION);
    // Two partitions may be alike: no blob may be of both.
    writer.u32(state.id);
    writer.f64(log.lastFrameNo);
    writer.u32(log.lastCrc);
    writer.u32(log.epoch);
    for (const actor of actors) this.survey(actor);
    for (const outbox of state.outboxes.values()) this.surveyOutbox(outbox);
    this.counters();
    const packs = [...this.packs.keys()];
    writer.list(packs, ({ sha256, length }) => {
      writer.latin1(sha256!);
      writer.u32(length);
    });
    writer.list(agents, (share) => {
      writer.latin1(share.name);
      writer.u32(share.environment.id);
      writer.f64(share.drainUntilMs);
      this.optional(share.suspended, (reason) => writer.utf8(reason));
      writer.f64(share.messagesHandled);
      writer.f64(share.messagesFailed);
    });
    const agentIndex = new Map(agents.map((share, i) => [share, i]));
    const packIndex = new Map(packs.map((pack, i) => [pack, i]));
    writer.list(actors, (actor) => {
      writer.u32(agentIndex.get(actor.agent)!);
      this.actor(actor, packIndex);
    });
    const actorIndex = new Map(actors.map((actor, i) => [actor, i]));
    writer.list(
      [...state.asks.values()].filter(({ actor }) => actorIndex.has(actor)),
      (ask) => {
        writer.f64(ask.number);
        writer.u32(actorIndex.get(ask.actor)!);
        writer.f64(ask.rootSeq);
        writer.f64(ask.deadlineMs);
      },
    );
    this.rest();
    const { logFloor, oldestTurn } = this;
    return { content: writer.finish(), logFloor, packs: this.packs, oldestTurn };
  }

  /** What the actor needs of log and packs. */
  private survey(actor: Actor): void {
    if (actor.image !== undefined) {
      const { pack, length } = actor.image.ref;
      this.packs.set(pack, (this.packs.get(pack) ?? 0) + length);
    }
    const numbers = actor.turns.numbers();
    if (numbers.length === 0) return;
    this.oldestTurn = Math.min(this.oldestTurn, numbers[0]!);
    for (const number of numbers) {
      const { turn, message } = actor.turns.turn(number);
      this.logFloor = Math.min(this.logFloor, sequenceOf(turn), sequenceOf(message));
    }
  }

  private surveyOutbox(outbox: Outbox): void {
    const [oldest] = outbox.from(outbox.firstN, 1);
    if (oldest !== undefined) this.logFloor = Math.min(this.logFloor, sequenceOf(oldest.position));
  }

  private counters(): void {
    const { state, writer } = this;
    const numbers = [
      this.logFloor,
      state.lastNowMs,
      state.lastSeq,
      state.nextSendNo,
      state.turns,
      state.turnsFailed,
      state.deadLetters.evicted,
    ];
    for (const number of numbers) writer.f64(number);
    writer.list(state.cursors, ([source, n]) => {
      writer.u32(source);
      writer.f64(n);
    });
    writer.u32(state.stream.incarnation);
    writer.f64(state.stream.upTo);
    writer.u32(state.stream.upToS);
    writer.list(state.stream.waiting, (n) => writer.f64(n));
    writer.list(state.outboxes, ([destination, outbox]) => {
      writer.u32(destination);
      writer.f64(outbox.firstN - 1);
      writer.list(outbox.from(outbox.firstN, Infinity), ({ position, length }) => {
        writer.f64(position);
        writer.u32(length);
      });
    });
  }

  private optional<T>(value: T | undefined, write: (value: T) => void): void {
    this.writer.u8(value === undefined ? 0 : 1);
    if (value !== undefined) write(value);
  }

  private actor(actor: Actor, packIndex: ReadonlyMap<Pack, number>): void {
    const { writer } = this;
    writer.latin1(actor.address);
    writer.u32(actor.environment.id);
    this.phase(actor.phase);
    writer.f64(actor.turnsTotal);
    writer.f64(actor.restartsTotal);
    writer.list(actor.restartTimesMs, (at) => writer.f64(at));
    this.optional(actor.image, ({ ref }) => {
      writer.u32(packIndex.get(ref.pack)!);
      writer.u32(ref.offset);
      writer.u32(ref.length);
    });
    writeState(writer, actor.state);
    this.optional(actor.baseState, (base) => writeState(writer, base));
    writer.list(actor.turns.numbers(), (number) => {
      const { turn, message, messageBytes } = actor.turns.turn(number);
      writer.f64(turn);
      writer.f64(message);
      writer.u32(messageBytes);
    });
    writeHandlers(writer, actor.handlers.values());
    writer.list(actor.inbox, (message) => this.message(message));
    writer.list(actor.answers, (message) => this.message(message));
    writer.list(actor.timers.values(), (timer) => {
      writer.u64(timer.id);
      writer.f64(timer.rootSeq);
      writer.f64(timer.dueMs);
      writer.block(timer.payload);
    });
  }

  private phase(phase: ActorPhase): void {
    const { writer } = this;
    switch (phase.kind) {
      case "backoff":
        writer.u8(PHASE_BACKOFF);
        writer.f64(phase.retryAtMs);
        return;
      case "held":
        writer.u8(PHASE_HELD);
        writer.latin1(phase.code);
        writer.utf8(phase.reason);
        return;
      default:
        writer.u8(PHASE_FREE);
    }
  }

  private message(message: PendingMessage): void {
    const { writer } = this;
    writer.f64(message.seq);
    writer.u32(message.flags);
    writer.f64(message.logPosition);
    writer.f64(message.rootSeq);
    writer.u32(message.attempts);
    writer.u32(message.intents);
    writer.block(message.bytes.subarray(message.offset, message.offset + message.length));
  }

  private rest(): void {
    const { state, writer } = this;
    writer.list(state.clients.values(), (entry) => this.client(entry));
    writer.list(state.deadLetters.values(), (record) => this.deadLetter(record));
    const undelivered = [...state.undelivered()].filter(({ message }) => message.logPosition >= 0);
    writer.list(undelivered, ({ message, code }) => {
      writer.latin1(code);
      this.message(message);
    });
  }

  private client({ id, acceptedAtMs, frame, wantsReply, outcome }: ClientEntry): void {
    const { writer } = this;
    writer.utf8(id);
    writer.f64(acceptedAtMs);
    writer.f64(frame);
    writer.u8(wantsReply ? 1 : 0);
    switch (outcome?.kind) {
      case undefined:
        writer.u8(OUTCOME_NONE);
        return;
      case "reply":
        writer.u8(OUTCOME_REPLY);
        writer.block(outcome.envelope);
        return;
      case "failure":
        writer.u8(OUTCOME_FAILURE);
        writer.latin1(outcome.code);
        writer.utf8(outcome.reason);
        return;
    }
  }

  private deadLetter(record: DeadLetterRecord): void {
    const { writer } = this;
    writer.f64(record.seq);
    writer.f64(record.logPosition);
    writer.u32(record.attempts);
    writer.f64(record.atMs);
    writer.latin1(record.code);
    writer.utf8(record.reason);
    writer.block(record.envelope);
  }
}

/** The state as of frame `log.lastFrameNo`: nothing later may be in it. */
export function writeCheckpoint(state: PartitionState, log: RecoveredLog): WrittenCheckpoint {
  return new CheckpointWriter(state, log.lastFrameNo).write(log);
}
