/**
 * Messages in and out of a partition: acceptance, routing, and the answers the partition itself gives.
 *
 * 1. A message of another partition is taken only when it is the next of its source.
 * 2. A message that reaches no mailbox is disposed of by an entry that says why, and its asker is told.
 */
import { copyOf } from "../../base/bytes.ts";
import {
  ACCEPTED_DISCARDED,
  ACCEPTED_OVERHEAD_BYTES,
  SOURCE_EPHEMERAL,
  SOURCE_PARTITION,
  SOURCE_STREAM,
} from "../../storage/frame-codec.ts";
import {
  AT_CORRELATION,
  FLAG_CLIENT,
  FLAG_FAILURE,
  FLAG_REPLY,
  FLAG_WANTS_REPLY,
  TAG_REPLY_WITH,
  encodeEnvelope,
  envelopeFlags,
  envelopeParts,
  findExtension,
} from "../wasm/envelope.ts";
import { MESSAGE_NUMBER_BYTES, writeMessageId } from "../wasm/message-id.ts";
import type { Actor, RootMessage } from "./actor.ts";
import { rootOf } from "./actor.ts";
import type { FramePipeline } from "./frame-pipeline.ts";
import type { PendingMessage } from "./message.ts";
import type { Delivery, PartitionState, Undeliverable } from "./partition-state.ts";
import { EFFECT_AT_FLAGS, EFFECT_UNNUMBERED, receiverHash } from "./turn-effects.ts";
import type { SendRouter } from "./turn-effects.ts";

/** Room kept for the small entries that dispose of messages. */
export const SMALL_ENTRY_BYTES = 2048;

export interface MailPorts {
  /** True when the actor's agent (`namespace/name`) keeps no log. */
  isEphemeral(bytes: Buffer, from: number, to: number): boolean;
  /** A message between ephemeral ends, or to one: no frame carries it. */
  sendUnlogged(destination: number, bytes: Buffer, offset: number, length: number): void;
}

export class Mail {
  private readonly state: PartitionState;
  private readonly frames: FramePipeline;
  private readonly incarnation: number;
  private readonly ports: MailPorts;
  private readonly nowMs: () => number;
  private readonly wake: (actor: Actor) => void;
  private readonly undelivered: Undeliverable[] = [];
  /** Numbers taken from each source, those that wait for room included. */
  private readonly relayCursors = new Map<number, number>();

  constructor(
    state: PartitionState,
    frames: FramePipeline,
    incarnation: number,
    ports: MailPorts,
    nowMs: () => number,
    wake: (actor: Actor) => void,
  ) {
    this.state = state;
    this.frames = frames;
    this.incarnation = incarnation;
    this.ports = ports;
    this.nowMs = nowMs;
    this.wake = wake;
  }

  // --- In -----------------------------------------------------------------------------------------------

  relayCursor(source: number): number {
    return this.relayCursors.get(source) ?? this.state.cursors.get(source) ?? 0;
  }

  /** A message of another partition. `behind`: it is not the next of its source, refetch from there. */
  acceptRelay(
    source: number,
    n: number,
    bytes: Buffer,
    offset: number,
    length: number,
  ): "taken" | "known" | "behind" {
    const cursor = this.relayCursor(source);
    if (n <= cursor) return "known";
    if (n > cursor + 1) return "behind";
    this.relayCursors.set(source, n);
    const need = ACCEPTED_OVERHEAD_BYTES + length;
    if (this.frames.hasRoom(need)) {
      this.writeRelay(source, n, bytes, offset, length);
    } else {
      const copy = copyOf(bytes, offset, length);
      this.frames.whenRoom(need, () => {
        this.writeRelay(source, n, copy, 0, length);
      });
    }
    return "taken";
  }

  private writeRelay(
    source: number,
    n: number,
    bytes: Buffer,
    offset: number,
    length: number,
  ): void {
    this.accept(SOURCE_PARTITION, source, n, bytes, offset, length);
    this.frames.filling.accepted.set(source, n);
  }

  /** Writes the accepted entry and brings the message to its mailbox. There is room for it. */
  accept(
    kind: number,
    source: number,
    n: number,
    bytes: Buffer,
    offset: number,
    length: number,
  ): void {
    const { state, frames } = this;
    const isLate = this.isLateAnswer(bytes, offset);
    const flags = isLate ? kind | ACCEPTED_DISCARDED : kind;
    const { writer } = frames;
    const at = writer.accepted(flags, source, this.incarnation, n, bytes, offset, length);
    if (kind === SOURCE_PARTITION) state.advanceCursor(source, n);
    if (isLate) return;
    this.delivered(state.deliver(writer.bytes, at, length, frames.position(at)));
    this.disposeUndelivered();
  }

  /** A message of the stream that clients send by. There is room for it. */
  acceptStreamed(flags: number, n: number, storedS: number, envelope: Buffer): void {
    const { state, frames } = this;
    const { stream } = state;
    const { length } = envelope;
    const { writer } = frames;
    const kind = SOURCE_STREAM | flags;
    const at = writer.accepted(kind, storedS, stream.incarnation, n, envelope, 0, length);
    stream.done(n, storedS);
    this.delivered(state.deliver(writer.bytes, at, length, frames.position(at)));
    this.disposeUndelivered();
  }

  private isLateAnswer(bytes: Buffer, offset: number): boolean {
    if ((envelopeFlags(bytes, offset) & (FLAG_REPLY | FLAG_FAILURE)) === 0) return false;
    return this.state.awaited(bytes, offset) === undefined;
  }

  /** A message from or to an ephemeral actor. Its bytes are kept. */
  acceptUnlogged(bytes: Buffer, offset: number, length: number): void {
    const parts = envelopeParts(bytes, offset);
    if (!this.ports.isEphemeral(bytes, parts.receiver, parts.extensions)) {
      this.frames.whenRoom(ACCEPTED_OVERHEAD_BYTES + length, () => {
        this.accept(SOURCE_EPHEMERAL, 0, 0, bytes, offset, length);
      });
      return;
    }
    const delivery = this.state.deliver(bytes, offset, length, -1);
    this.delivered(delivery);
    if (delivery.kind !== "undeliverable") return;
    const { message, code } = delivery;
    this.state.consume(undefined, message.seq);
    this.state.completeClient(rootOf(message), { kind: "failure", code, reason: WHY[code] });
    this.answerFailure(message, code, WHY[code]);
  }

  delivered(delivery: Delivery): void {
    if (delivery.kind === "discarded") return;
    delivery.message.acceptedMs = this.nowMs();
    const isLogged = delivery.message.logPosition >= 0;
    if (isLogged) this.frames.filling.messages.push(delivery.message);
    if (delivery.kind === "enqueued") this.wake(delivery.actor);
    else if (isLogged) this.undelivered.push(delivery);
  }

  /** Takes up messages whose disposal did not reach the log. */
  resume(): void {
    this.undelivered.push(...this.state.undelivered());
    this.disposeUndelivered();
  }

  /** Writes why messages reached no mailbox. */
  disposeUndelivered(): void {
    for (let next = this.undelivered.pop(); next !== undefined; next = this.undelivered.pop()) {
      const { message, code } = next;
      this.frames.whenRoom(SMALL_ENTRY_BYTES, () => {
        const nowMs = this.nowMs();
        const failure = { attempts: 0, atMs: nowMs, code, reason: WHY[code] };
        const { seq, logPosition } = message;
        this.frames.writer.deadLetter({ seq, messagePosition: logPosition, ...failure });
        this.state.consume(undefined, message.seq);
        this.state.deadLetter(message, 0, nowMs, code, WHY[code]);
        this.answerFailure(message, code, WHY[code]);
      });
    }
  }

  // --- Out ----------------------------------------------------------------------------------------------

  /** Sends of a turn whose effects are in the frame that fills. */
  readonly logged: SendRouter = {
    route: (bytes, entry, offset, length, hash) => {
      const parts = envelopeParts(bytes, offset);
      if (this.ports.isEphemeral(bytes, parts.receiver, parts.extensions)) {
        bytes[entry + EFFECT_AT_FLAGS] = EFFECT_UNNUMBERED;
        const destination = this.state.destinationOf(hash);
        this.frames.filling.outbound.push({ destination, n: 0, offset, length });
      } else {
        this.routeLogged(bytes, offset, length, hash);
      }
    },
  };

  /** Sends of ephemeral actors: nothing is durable, so they leave at once. */
  readonly unlogged: SendRouter = {
    route: (bytes, _entry, offset, length, hash) => {
      this.ports.sendUnlogged(this.state.destinationOf(hash), bytes, offset, length);
    },
  };

  private routeLogged(bytes: Buffer, offset: number, length: number, hash: number): void {
    const { state, frames } = this;
    const destination = state.destinationOf(hash);
    const position = frames.position(offset);
    if (destination === state.id) {
      this.delivered(state.deliver(bytes, offset, length, position));
    } else {
      const n = state.outbox(destination).add(position, length);
      frames.filling.outbound.push({ destination, n, offset, length });
    }
  }

  /** Tells the sender of a message that it will get no reply. */
  answerFailure(message: PendingMessage, code: string, reason: string): void {
    if ((message.flags & FLAG_WANTS_REPLY) === 0) return;
    const root = rootOf(message);
    const parts = envelopeParts(root.envelope, 0);
    const receiver = root.envelope.toString("latin1", parts.receiver, parts.extensions);
    this.sendFailure(receiver, root, code, reason);
  }

  /** Tells an asking actor that there will be no reply. Clients learn it from the client ids. */
  sendFailure(sender: string, root: RootMessage, code: string, reason: string): void {
    if ((root.flags & FLAG_WANTS_REPLY) === 0 || (root.flags & FLAG_CLIENT) !== 0) return;
    const { state, frames } = this;
    const { envelope: asked } = root;
    const parts = envelopeParts(asked, 0);
    const receiver = asked.toString("latin1", parts.sender, parts.receiver);
    const replyWith = findExtension(asked, parts.extensions, parts.content, TAG_REPLY_WITH);
    const inReplyTo = replyWith?.toString() ?? asked.toString("utf8", parts.id, parts.sender);
    const correlation = asked.readBigUInt64LE(AT_CORRELATION);
    const isUnlogged = this.ports.isEphemeral(asked, parts.sender, parts.receiver);
    frames.whenRoom(SMALL_ENTRY_BYTES, () => {
      const sendNo = state.nextSendNo++;
      const idBytes = Buffer.alloc(MESSAGE_NUMBER_BYTES);
      writeMessageId(idBytes, 0, state.idPrefix, sendNo);
      const id = idBytes.toString("latin1");
      const fields = { id, sender, receiver, inReplyTo, correlation, code, reason };
      const envelope = failureEnvelope(fields);
      const { length } = envelope;
      if (isUnlogged) {
        const destination = state.destinationOf(receiverHash(envelope, 0));
        frames.afterCommit(() => {
          this.ports.sendUnlogged(destination, envelope, 0, length);
        });
        return;
      }
      const at = frames.writer.systemSend(sendNo, envelope, 0, length);
      const { bytes } = frames.writer;
      this.routeLogged(bytes, at, length, receiverHash(bytes, at));
      this.disposeUndelivered();
    });
  }
}

const WHY = {
  AGENT_NOT_FOUND: "no agent of that name is deployed",
  MAILBOX_FULL: "the actor's mailbox is full",
  REENTRANT_ASK: "the ask came back to an actor whose handler is open in the same chain",
} as const;

export function failureEnvelope(fields: {
  id: string;
  sender: string;
  receiver: string;
  inReplyTo: string | undefined;
  correlation: bigint;
  code: string;
  reason: string;
}): Buffer {
  const { code, reason, ...rest } = fields;
  return encodeEnvelope({
    ...rest,
    flags: FLAG_FAILURE,
    performative: "failure",
    contentType: "text/plain",
    content: Buffer.from(reason),
    errorCode: code,
  });
}
