/**
 * Rebuilds a partition's state from its newest checkpoint and the frames after it.
 *
 * 1. Frames are dense and each names the checksum of the acting one before: a hole or a swap stops recovery.
 * 2. A frame acts only where it says it is. An epoch frame that landed elsewhere, since an old owner still wrote,
 *    takes its place in the log and ends the old owner's epoch, and does nothing else.
 * 3. Epochs never fall; storage hides frames that an old owner sent too late.
 */
import { invariant } from "../../base/assert.ts";
import { CaxtonError } from "../../base/errors.ts";
import {
  ACCEPTED_DISCARDED,
  ACCEPTED_REMEMBERED,
  FRAME_FLAG_EPOCH,
  SOURCE_MASK,
  SOURCE_PARTITION,
  SOURCE_STREAM,
  TURN_OVERHEAD_BYTES,
  readFrameHeader,
} from "../../storage/frame-codec.ts";
import { visitEntries } from "../../storage/frame-entries.ts";
import type {
  CheckpointFields,
  FailureFields,
  FrameHeader,
  TurnFields,
  UpgradeFields,
} from "../../storage/frame-codec.ts";
import type { EntryVisitor } from "../../storage/frame-entries.ts";
import type { Environment } from "../environment.ts";
import { FLAG_WANTS_REPLY, envelopeFlags, envelopeParts } from "../wasm/envelope.ts";
import type { Actor } from "./actor.ts";
import { IDLE } from "./actor.ts";
import { applyControl } from "./apply-control.ts";
import { readCheckpoint } from "./checkpoint-reader.ts";
import type { Control } from "./control.ts";
import type { PendingMessage } from "./message.ts";
import { UPGRADE_FAILURE } from "./upgrades.ts";
import type { Delivery, PartitionState } from "./partition-state.ts";
import type { RecoveredLog } from "./frame-pipeline.ts";
import { EFFECT_AT_FLAGS, EFFECT_UNNUMBERED, applyEffects, receiverHash } from "./turn-effects.ts";
import { logPosition } from "./turn-index.ts";

interface Located {
  readonly actor: Actor | undefined;
  readonly message: PendingMessage;
}

export interface RecoveredPartition {
  readonly log: RecoveredLog;
  /** Newest frame that names a checkpoint, 0 for none, and the blob it names. */
  readonly checkpointFrameNo: number;
  readonly checkpointSha256: string | undefined;
  /** Turns that were in that checkpoint. */
  readonly turnsBefore: number;
}

export class PartitionRecovery implements EntryVisitor {
  readonly state: PartitionState;
  private readonly environment: (id: number) => Environment;
  private readonly located = new Map<number, Located>();
  private ofFrame: PendingMessage[] = [];
  private lastFrameNo = 0;
  private lastCrc = 0;
  private epoch = 0;
  private checkpointFrameNo = 0;
  /** Blob of the newest checkpoint met. */
  private checkpointSha256: string | undefined;
  private turnsBefore = 0;

  constructor(state: PartitionState, environment: (id: number) => Environment) {
    this.state = state;
    this.environment = environment;
  }

  /** Begins with a checkpoint instead of an empty state. */
  begin(sha256: string, content: Buffer): void {
    const log = readCheckpoint(this.state, content, this.environment);
    this.lastFrameNo = log.lastFrameNo;
    this.lastCrc = log.lastCrc;
    this.epoch = log.epoch;
    this.checkpointSha256 = sha256;
    this.turnsBefore = this.state.turns;
    for (const actor of this.state.actors) {
      for (const message of [...actor.inbox, ...actor.answers]) {
        this.located.set(message.seq, { actor, message });
      }
    }
    for (const { message } of this.state.undelivered()) {
      this.located.set(message.seq, { actor: undefined, message });
    }
  }

  /** Applies the next frame. Its bytes are not kept. */
  apply(sequence: number, frame: Buffer): void {
    const header = readFrameHeader(frame);
    const acts = this.checkPlace(sequence, header);
    this.epoch = header.epoch;
    this.lastFrameNo = sequence;
    if (!acts) return;
    this.lastCrc = header.payloadCrc;
    this.checkpointFrameNo = header.checkpointFrameNo;
    if (header.timeMs > this.state.lastNowMs) this.state.lastNowMs = header.timeMs;
    visitEntries(frame, header, this);
    for (const message of this.ofFrame) if (!message.consumed) message.evacuate();
    this.ofFrame = [];
  }

  /** Whether the frame acts. */
  private checkPlace(sequence: number, header: FrameHeader): boolean {
    const { epoch, frameNo, previousCrc, partition, flags } = header;
    const follows =
      partition === this.state.id && sequence === this.lastFrameNo + 1 && epoch >= this.epoch;
    const isOpening = (flags & FRAME_FLAG_EPOCH) !== 0 && epoch > this.epoch;
    if (follows && isOpening && frameNo < sequence) return false;
    if (follows && frameNo === sequence && previousCrc === this.lastCrc) return true;
    throw new CaxtonError(
      "STORAGE_CORRUPT",
      `Partition ${String(this.state.id)}: frame ${String(frameNo)} at sequence ${String(sequence)} does not follow frame ${String(this.lastFrameNo)}; the log has a hole or was mixed up.`,
    );
  }

  finish(): RecoveredPartition {
    const { lastFrameNo, lastCrc, epoch } = this;
    const { checkpointFrameNo, checkpointSha256, turnsBefore } = this;
    const log = { lastFrameNo, lastCrc, epoch };
    return { log, checkpointFrameNo, checkpointSha256, turnsBefore };
  }

  accepted(
    flags: number,
    source: number,
    _incarnation: number,
    n: number,
    frame: Buffer,
    offset: number,
    length: number,
  ): void {
    const kind = flags & SOURCE_MASK;
    if (kind === SOURCE_PARTITION) this.state.advanceCursor(source, n);
    if (kind === SOURCE_STREAM) this.state.stream.done(n, source);
    if ((flags & ACCEPTED_DISCARDED) !== 0) return;
    if ((flags & ACCEPTED_REMEMBERED) !== 0) {
      const parts = envelopeParts(frame, offset);
      const id = frame.toString("utf8", parts.id, parts.sender);
      const wantsReply = (envelopeFlags(frame, offset) & FLAG_WANTS_REPLY) !== 0;
      this.state.rememberClient(id, this.state.lastNowMs, this.lastFrameNo, wantsReply);
    }
    this.remember(this.state.deliver(frame, offset, length, this.position(offset)));
  }

  private remember(delivery: Delivery): void {
    if (delivery.kind === "discarded") return;
    const actor = delivery.kind === "enqueued" ? delivery.actor : undefined;
    this.located.set(delivery.message.seq, { actor, message: delivery.message });
    this.ofFrame.push(delivery.message);
  }

  private position(offset: number): number {
    return logPosition(this.lastFrameNo, offset);
  }

  private take(seq: number): Located {
    const located = this.located.get(seq);
    invariant(located !== undefined, `message ${String(seq)} of the log was accepted`);
    return located;
  }

  turn(turn: TurnFields, frame: Buffer, from: number, to: number): void {
    const { state } = this;
    const { actor, message } = this.take(turn.consumedSeq);
    invariant(actor !== undefined, "a turn is an actor's");
    this.located.delete(turn.consumedSeq);
    const entry = this.position(from - TURN_OVERHEAD_BYTES);
    actor.turns.add(entry, message.logPosition, message.length);
    state.turnDone(actor);
    actor.phase = actor.phase.kind === "held" ? actor.phase : IDLE;
    if (turn.nowMs > state.lastNowMs) state.lastNowMs = turn.nowMs;
    state.consume(actor, message.seq);
    const handler = state.beginHandler(actor, message, turn.open);
    const { sends } = applyEffects(state, actor, handler, frame, from, to, this);
    state.nextSendNo = Math.max(state.nextSendNo, turn.sendNoBase + sends);
    if (!turn.open) state.endHandler(handler);
  }

  route(bytes: Buffer, entry: number, offset: number, length: number, hash: number): void {
    if (entry >= 0 && bytes[entry + EFFECT_AT_FLAGS] === EFFECT_UNNUMBERED) return;
    const { state } = this;
    const destination = state.destinationOf(hash);
    if (destination === state.id) {
      this.remember(state.deliver(bytes, offset, length, this.position(offset)));
    } else {
      state.outbox(destination).add(this.position(offset), length);
    }
  }

  turnFailed({ seq, attempts, atMs }: FailureFields): void {
    const { actor, message } = this.take(seq);
    invariant(actor !== undefined, "a failed turn is an actor's");
    this.state.turnFailed(actor, message, attempts, this.state.lastNowMs);
    actor.phase = { kind: "backoff", retryAtMs: atMs };
  }

  deadLetter({ seq, attempts, atMs, code, reason }: FailureFields): void {
    const { actor, message } = this.take(seq);
    this.located.delete(seq);
    if (actor === undefined) {
      this.state.consume(undefined, seq);
      this.state.deadLetter(message, attempts, atMs, code, reason);
      return;
    }
    this.state.giveUp(actor, message, atMs, code, reason);
    if (actor.phase.kind === "backoff") actor.phase = IDLE;
  }

  intent(seq: number, attempt: number): void {
    this.take(seq).message.intents = attempt;
  }

  control(json: string): void {
    const control = JSON.parse(json) as Control;
    const { deliveries } = applyControl(this.state, control, this.environment);
    for (const delivery of deliveries) this.remember(delivery);
  }

  systemSend(sendNo: number, frame: Buffer, offset: number, length: number): void {
    this.state.nextSendNo = Math.max(this.state.nextSendNo, sendNo + 1);
    this.route(frame, -1, offset, length, receiverHash(frame, offset));
  }

  moved(seq: number, _frame: Buffer, offset: number): void {
    this.take(seq).message.logPosition = this.position(offset);
  }

  /** One after the checkpoint that recovery began with: the state is the same. */
  checkpoint({ sha256 }: CheckpointFields): void {
    this.checkpointSha256 = sha256;
  }

  upgrade(
    { environment }: UpgradeFields,
    address: string,
    _frame: Buffer,
    entry: number,
    from: number,
    to: number,
  ): void {
    const { state } = this;
    const actor = state.actorByAddress(address);
    invariant(actor !== undefined, "an actor that goes over to another version exists");
    const place = [this.position(entry), this.position(from), to - from] as const;
    for (const root of state.upgraded(actor, this.environment(environment), ...place)) {
      state.completeClient(root, UPGRADE_FAILURE);
    }
  }
}
