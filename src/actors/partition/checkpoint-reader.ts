/** Brings a partition's state back from a checkpoint (see checkpoint-writer.ts). */
import { BinaryReader } from "../../base/binary.ts";
import { invariant } from "../../base/assert.ts";
import { CaxtonError } from "../../base/errors.ts";
import { hashAddressText } from "../address.ts";
import type { Environment } from "../environment.ts";
import { IDLE } from "./actor.ts";
import type { Actor, ActorPhase } from "./actor.ts";
import { readHandlers, readState } from "./actor-image.ts";
import { AgentShare } from "./agent-share.ts";
import {
  CHECKPOINT_MAGIC,
  CHECKPOINT_VERSION,
  OUTCOME_FAILURE,
  OUTCOME_REPLY,
  PHASE_BACKOFF,
  PHASE_HELD,
} from "./checkpoint-writer.ts";
import type { RecoveredLog } from "./frame-pipeline.ts";
import type { Pack } from "./image-packs.ts";
import { PendingMessage } from "./message.ts";
import { Outbox } from "./outbox.ts";
import type { PartitionState, Undeliverable } from "./partition-state.ts";
import { NO_TURN } from "./turn-index.ts";

/** Older checkpoints know of no stream. */
const STREAM_SINCE_VERSION = 2;
const STORED_SINCE_VERSION = 3;

class CheckpointReader {
  private readonly state: PartitionState;
  private readonly reader: BinaryReader;
  private readonly environment: (id: number) => Environment;

  constructor(state: PartitionState, content: Buffer, environment: (id: number) => Environment) {
    this.state = state;
    this.reader = new BinaryReader(content);
    this.environment = environment;
  }

  read(): RecoveredLog {
    const { state, reader } = this;
    const { version, log } = this.header();
    this.counters(version);
    const packs = reader.list(() => state.images.known(reader.latin1(), reader.u32()));
    const agents = reader.list(() => this.agent());
    const actors = reader.list(() => this.actor(agents[reader.u32()]!, packs));
    reader.list(() => {
      this.ask(actors);
    });
    this.rest();
    reader.end();
    return log;
  }

  private header(): { version: number; log: RecoveredLog } {
    const { reader } = this;
    if (reader.u32() !== CHECKPOINT_MAGIC) {
      throw new CaxtonError("STORAGE_CORRUPT", "A checkpoint does not begin with CKP1.");
    }
    const version = reader.u32();
    if (version > CHECKPOINT_VERSION) {
      throw new CaxtonError(
        "STORAGE_FORMAT_NEWER",
        `A checkpoint has format ${String(version)}, this version reads up to ${String(CHECKPOINT_VERSION)}.`,
      );
    }
    const partition = reader.u32();
    invariant(partition === this.state.id, "a checkpoint is of its partition");
    const log = { lastFrameNo: reader.f64(), lastCrc: reader.u32(), epoch: reader.u32() };
    return { version, log };
  }

  private counters(version: number): void {
    const { state, reader } = this;
    state.logFloor = reader.f64();
    state.lastNowMs = reader.f64();
    state.lastSeq = reader.f64();
    state.nextSendNo = reader.f64();
    state.turns = reader.f64();
    state.turnsFailed = reader.f64();
    state.deadLetters.evicted = reader.f64();
    reader.list(() => state.cursors.set(reader.u32(), reader.f64()));
    if (version >= STREAM_SINCE_VERSION) {
      state.stream.incarnation = reader.u32();
      state.stream.upTo = reader.f64();
      if (version >= STORED_SINCE_VERSION) state.stream.upToS = reader.u32();
      reader.list(() => state.stream.waiting.add(reader.f64()));
    }
    reader.list(() => {
      const destination = reader.u32();
      const acknowledged = reader.f64();
      const entries = reader.list(() => ({ position: reader.f64(), length: reader.u32() }));
      state.outboxes.set(destination, Outbox.restored(acknowledged, entries));
    });
  }

  private optional<T>(read: () => T): T | undefined {
    return this.reader.u8() === 0 ? undefined : read();
  }

  private agent(): AgentShare {
    const { reader, state } = this;
    const name = reader.latin1();
    const share = new AgentShare(name, this.environment(reader.u32()));
    share.drainUntilMs = reader.f64();
    share.suspended = this.optional(() => reader.utf8());
    share.messagesHandled = reader.f64();
    share.messagesFailed = reader.f64();
    state.agents.set(name, share);
    return share;
  }

  private actor(share: AgentShare, packs: readonly Pack[]): Actor {
    const { reader, state } = this;
    const address = reader.latin1();
    const actor = state.actors.create(address, hashAddressText(address), share);
    actor.environment = this.environment(reader.u32());
    actor.phase = this.phase();
    actor.turnsTotal = reader.f64();
    actor.restartsTotal = reader.f64();
    actor.restartTimesMs = reader.list(() => reader.f64());
    actor.image = this.optional(() => {
      const ref = { pack: packs[reader.u32()]!, offset: reader.u32(), length: reader.u32() };
      return { ref, newestTurn: NO_TURN };
    });
    for (const [key, value] of readState(reader)) state.putState(actor, key, Buffer.from(value));
    actor.baseState = this.optional(() => copied(readState(reader)));
    reader.list(() => {
      actor.turns.add(reader.f64(), reader.f64(), reader.u32());
    });
    for (const [seq, handler] of readHandlers(reader)) actor.handlers.set(seq, handler);
    reader.list(() => {
      state.restore(actor, actor.inbox, this.message());
    });
    reader.list(() => {
      state.restore(actor, actor.answers, this.message());
    });
    reader.list(() => {
      const [id, rootSeq, dueMs] = [reader.u64(), reader.f64(), reader.f64()];
      state.setTimer({ id, actor, rootSeq, dueMs, payload: Buffer.from(reader.block()) });
    });
    return actor;
  }

  private phase(): ActorPhase {
    const { reader } = this;
    switch (reader.u8()) {
      case PHASE_BACKOFF:
        return { kind: "backoff", retryAtMs: reader.f64() };
      case PHASE_HELD:
        return { kind: "held", code: reader.latin1(), reason: reader.utf8() };
      default:
        return IDLE;
    }
  }

  private message(): PendingMessage {
    const { reader } = this;
    const [seq, flags] = [reader.f64(), reader.u32()];
    const [logPosition, rootSeq] = [reader.f64(), reader.f64()];
    const [attempts, intents] = [reader.u32(), reader.u32()];
    const bytes = Buffer.from(reader.block());
    const { length } = bytes;
    const message = new PendingMessage(seq, flags, bytes, 0, length, logPosition, rootSeq);
    message.attempts = attempts;
    message.intents = intents;
    return message;
  }

  private ask(actors: readonly Actor[]): void {
    const { reader } = this;
    const [number, actor] = [reader.f64(), actors[reader.u32()]!];
    this.state.addAsk(number, actor, reader.f64(), reader.f64());
  }

  private rest(): void {
    const { reader, state } = this;
    reader.list(() => {
      this.client();
    });
    reader.list(() => {
      this.deadLetter();
    });
    reader.list(() => {
      const code = reader.latin1() as Undeliverable["code"];
      state.restoreUndelivered(this.message(), code);
    });
  }

  private client(): void {
    const { reader, state } = this;
    const id = reader.utf8();
    state.clients.accept(id, reader.f64(), reader.f64(), reader.u8() === 1);
    switch (reader.u8()) {
      case OUTCOME_REPLY:
        state.clients.complete(id, { kind: "reply", envelope: Buffer.from(reader.block()) });
        return;
      case OUTCOME_FAILURE: {
        const [code, reason] = [reader.latin1(), reader.utf8()];
        state.clients.complete(id, { kind: "failure", code, reason });
        return;
      }
      default:
    }
  }

  private deadLetter(): void {
    const { reader } = this;
    const [seq, logPosition] = [reader.f64(), reader.f64()];
    const [attempts, atMs] = [reader.u32(), reader.f64()];
    const [code, reason] = [reader.latin1(), reader.utf8()];
    const envelope = Buffer.from(reader.block());
    this.state.deadLetters.add({ seq, envelope, logPosition, code, reason, attempts, atMs });
  }
}

/** Copies, so that a small value does not keep the whole checkpoint in memory. */
function copied(state: ReadonlyMap<string, Buffer>): Map<string, Buffer> {
  return new Map([...state].map(([key, value]) => [key, Buffer.from(value)]));
}

/** Fills an empty state; returns where the log goes on. */
export function readCheckpoint(
  state: PartitionState,
  content: Buffer,
  environment: (id: number) => Environment,
): RecoveredLog {
  return new CheckpointReader(state, content, environment).read();
}
