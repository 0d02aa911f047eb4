/**
 * Follows messages through the log: who sent what, when it was handled, and what came of that.
 *
 * Owns the messages found so far, by their places, and what they are known to have led to.
 * 1. A message is part of the trace when it is asked for, or when the handling of one that is sent it, set the
 *    timer or missed the reply that it stands for.
 * 2. Frames come in the order in which they were sealed. Within one millisecond that may put an effect before
 *    its cause: `overtaken` says that something sent never arrived, and a second look may find it.
 */
import {
  ACCEPTED_DISCARDED,
  SOURCE_MASK,
  SOURCE_SYSTEM,
  SOURCE_TIMER,
} from "../storage/frame-codec.ts";
import type { FailureFields, FrameHeader, TurnFields } from "../storage/frame-codec.ts";
import { IGNORED_ENTRIES, visitEntries } from "../storage/frame-entries.ts";
import type { EntryVisitor } from "../storage/frame-entries.ts";
import type { TraceEvent, TraceFailure, TraceRoot, TracedEffect } from "./history.ts";
import type { Message } from "./kernel.ts";
import type { ScannedFrame } from "./log-scan.ts";
import { tracedEffect } from "./logged-effects.ts";
import { arrivesHere } from "./observed-messages.ts";
import { logPosition } from "./partition/turn-index.ts";
import { sentMessageAt } from "./wasm/effects.ts";
import {
  AT_CORRELATION,
  TAG_CONVERSATION_ID,
  decodeMessage,
  envelopeParts,
  findExtension,
} from "./wasm/envelope.ts";

const EVENTS_MAX = 1000;
const CONTENT_BYTES_MAX = 1024;

interface TracedMessage {
  readonly id: string;
  readonly receiver: string;
}

export class MessageTrace {
  readonly events: TraceEvent[] = [];
  private readonly root: TraceRoot;
  private readonly rootBytes: Buffer;
  private readonly partitions: number;
  /** By partition and place in its log. */
  private readonly places: Map<number, TracedMessage>[];
  /** What is to come, by its key, and the id of its cause. */
  private readonly expected: Map<string, string>;
  private readonly arrived = new Set<string>();
  private header: FrameHeader | undefined;

  /** `before`: a first look at the same log. */
  constructor(root: TraceRoot, partitions: number, before?: MessageTrace) {
    this.root = root;
    this.rootBytes = Buffer.from(root.id, "utf8");
    this.partitions = partitions;
    this.places = Array.from({ length: partitions }, () => new Map<number, TracedMessage>());
    this.expected = new Map(before?.expected);
  }

  get isFull(): boolean {
    return this.events.length >= EVENTS_MAX;
  }

  get overtaken(): boolean {
    for (const key of this.expected.keys()) if (!this.arrived.has(key)) return true;
    return false;
  }

  add({ header, frame }: ScannedFrame): void {
    this.header = header;
    visitEntries(frame, header, this.visitor);
  }

  private readonly visitor: EntryVisitor = {
    ...IGNORED_ENTRIES,
    accepted: (flags, _source, _incarnation, _n, frame, offset) => {
      if ((flags & ACCEPTED_DISCARDED) !== 0) return;
      const source = flags & SOURCE_MASK;
      const isOwn = source === SOURCE_TIMER || source === SOURCE_SYSTEM;
      this.arrive(frame, offset, isOwn ? ownKey(frame, offset) : messageId(frame, offset));
    },
    turn: (turn, frame, from, to) => {
      this.turn(turn, frame, from, to);
    },
    systemSend: (_sendNo, frame, offset) => {
      const { inReplyTo, id } = decodeMessage(frame, offset);
      if (inReplyTo !== undefined && this.arrived.has(inReplyTo)) this.expected.set(id, inReplyTo);
      this.arriveIfHere(frame, offset);
    },
    moved: (_seq, frame, offset) => {
      const id = messageId(frame, offset);
      if (this.arrived.has(id)) this.remember(frame, offset, id);
    },
    turnFailed: (failed) => {
      const place = this.placeOf(failed.messagePosition);
      if (place === undefined) return;
      const failure = failureOf(failed);
      this.events.push({ kind: "failed", ...place, failure, retryAtMs: failed.atMs });
    },
    deadLetter: (given) => {
      const place = this.placeOf(given.messagePosition);
      if (place === undefined) return;
      this.events.push({ kind: "dead-lettered", ...place, failure: failureOf(given) });
    },
  };

  private turn(turn: TurnFields, frame: Buffer, from: number, to: number): void {
    const place = this.placeOf(turn.messagePosition);
    if (place !== undefined) this.handled(place, turn, frame, from, to);
    for (let at = from; at < to; at += frame.readUInt32LE(at)) {
      const message = sentMessageAt(frame, at);
      if (message !== undefined) this.arriveIfHere(frame, message);
    }
  }

  private handled(
    place: ReturnType<MessageTrace["placeAt"]>,
    { open }: TurnFields,
    frame: Buffer,
    from: number,
    to: number,
  ): void {
    const { messageId: cause, receiver } = place;
    const effects: TracedEffect[] = [];
    for (let at = from; at < to; at += frame.readUInt32LE(at)) {
      const effect = tracedEffect(frame, at);
      effects.push(effect);
      if (effect.messageId !== undefined) this.expected.set(effect.messageId, cause);
      if (effect.kind === "timer-set") this.expected.set(`${receiver} ${effect.name}`, cause);
      if (effect.kind === "ask") {
        const number = frame.readBigUInt64LE(sentMessageAt(frame, at)! + AT_CORRELATION);
        this.expected.set(`${receiver} ${number}`, cause);
      }
    }
    this.events.push({ kind: "handled", ...place, effects, open });
  }

  private arriveIfHere(frame: Buffer, offset: number): void {
    if (arrivesHere(frame, offset, this.header!.partition, this.partitions)) {
      this.arrive(frame, offset, messageId(frame, offset));
    }
  }

  private arrive(frame: Buffer, offset: number, key: string): void {
    const causeId = this.expected.get(key);
    if (causeId === undefined && !this.isRoot(frame, offset, key)) return;
    this.arrived.add(key);
    const decoded = decodeMessage(frame, offset);
    const { id } = decoded;
    this.remember(frame, offset, id);
    const contentBytes = decoded.content.length;
    const content = decoded.content.slice(0, CONTENT_BYTES_MAX);
    const message: Message = { ...decoded, content };
    const place = this.placeAt({ id, receiver: message.receiver });
    this.events.push({ kind: "arrived", ...place, message, contentBytes, causeId });
  }

  private isRoot(frame: Buffer, offset: number, key: string): boolean {
    if (this.root.kind === "message") return key === this.root.id;
    const { extensions, content } = envelopeParts(frame, offset);
    const conversation = findExtension(frame, extensions, content, TAG_CONVERSATION_ID);
    return conversation?.equals(this.rootBytes) ?? false;
  }

  private remember(frame: Buffer, offset: number, id: string): void {
    const { partition, frameNo } = this.header!;
    const parts = envelopeParts(frame, offset);
    const receiver = frame.toString("utf8", parts.receiver, parts.extensions);
    this.places[partition]!.set(logPosition(frameNo, offset), { id, receiver });
  }

  /** Where and when something befalls a message of the trace; undefined when it is none. */
  private placeOf(position: number): ReturnType<MessageTrace["placeAt"]> | undefined {
    const message = this.places[this.header!.partition]!.get(position);
    return message === undefined ? undefined : this.placeAt(message);
  }

  private placeAt({ id, receiver }: TracedMessage) {
    const { partition, frameNo, timeMs } = this.header!;
    return { atMs: timeMs, partition, frame: frameNo, messageId: id, receiver };
  }
}

function messageId(frame: Buffer, offset: number): string {
  const { id, sender } = envelopeParts(frame, offset);
  return frame.toString("utf8", id, sender);
}

/** Timers and missed deadlines have no id. */
function ownKey(frame: Buffer, offset: number): string {
  const { receiver, extensions } = envelopeParts(frame, offset);
  const number = frame.readBigUInt64LE(offset + AT_CORRELATION);
  return `${frame.toString("utf8", receiver, extensions)} ${number}`;
}

function failureOf({ code, reason, attempts }: FailureFields): TraceFailure {
  return { code, reason, attempts };
}
