/**
 * Reads every durable frame and keeps the books: who sent what, who took it, who handled it. It shares
 * nothing with the kernel but the codec.
 *
 * 1. A send is taken by its destination exactly once, in order, only after it is durable.
 * 2. A message is handled at most once; what one sender sent to one receiver, in the order sent.
 * 3. An actor's memory and its state go on where its last committed turn left them.
 * 4. A turn says where in the log its message is.
 */
import {
  ACCEPTED_DISCARDED,
  ACCEPTED_REMEMBERED,
  FRAME_FLAG_EPOCH,
  SOURCE_EPHEMERAL,
  SOURCE_MASK,
  SOURCE_PARTITION,
  SOURCE_STREAM,
  SOURCE_SYSTEM,
  SOURCE_TIMER,
  readFrameHeader,
} from "../../src/storage/frame-codec.ts";
import { visitEntries } from "../../src/storage/frame-entries.ts";
import type { FrameHeader, TurnFields } from "../../src/storage/frame-codec.ts";
import type { EntryVisitor } from "../../src/storage/frame-entries.ts";
import { hashAddress, partitionOf } from "../../src/actors/address.ts";
import type { Control } from "../../src/actors/partition/control.ts";
import { EFFECT_AT_FLAGS, EFFECT_UNNUMBERED } from "../../src/actors/partition/turn-effects.ts";
import { offsetOf, sequenceOf } from "../../src/actors/partition/turn-index.ts";
import {
  EFFECT_ASK,
  EFFECT_ASK_HEADER_BYTES,
  EFFECT_AT_KIND,
  EFFECT_AT_NUMBER,
  EFFECT_AT_SHORT,
  EFFECT_EMIT,
  EFFECT_KEYED_HEADER_BYTES,
  EFFECT_REPLY,
  EFFECT_SEND,
  EFFECT_SEND_HEADER_BYTES,
} from "../../src/actors/wasm/effects.ts";
import {
  FLAG_CLIENT,
  FLAG_FAILURE,
  FLAG_REPLY,
  envelopeFlags,
  envelopeParts,
} from "../../src/actors/wasm/envelope.ts";
import type { Coverage } from "./coverage.ts";
import { promise } from "./failure.ts";
import { tokenOf } from "./plan.ts";
import { NOTE_TOPIC } from "./script.ts";
import type { Note } from "./script.ts";

interface Book {
  frames: number;
  epoch: number;
  crc: number;
  /** Numbered sends by destination, and how many of each source were taken. */
  readonly sent: Map<number, Buffer[]>;
  readonly taken: Map<number, number>;
  readonly actors: Map<string, ActorBook>;
}

interface ActorBook {
  turns: number;
  count: number;
  nowMs: number;
  readonly places: Map<string, number>;
}

export interface LedgerPorts {
  readonly partitions: number;
  readonly dedupWindowMs: number;
  readonly coverage: Coverage;
  readonly checksWindow: boolean;
  firstSentMs(token: string): number;
  wallMs(): number;
  isEphemeral(address: string): boolean;
  /** A frame of the log, trimmed or not. */
  frame(partition: number, sequence: number): Buffer;
  /** The order of what it sends is not promised (it was refused and came again). */
  isOutOfOrder(token: string): boolean;
}

export class Ledger {
  private readonly ports: LedgerPorts;
  private readonly books: Book[];
  private readonly ids = new Set<string>();
  /** Messages of clients that were taken in. */
  readonly accepted = new Set<string>();
  readonly handled = new Map<string, string>();
  /** Messages that must come to an end: all but answers, which nobody may wait for any more. */
  readonly born = new Set<string>();
  /** Replies to clients that are durable, by the id of the reply. */
  readonly replies = new Set<string>();
  /** Messages accepted again because their ids had run out. */
  private readonly repeated = new Set<string>();
  readonly drifted = new Set<string>();
  private readonly removed = new Set<string>();
  hash = 0;
  /** While it is written anew after a tail was lost: what one partition has taken may be missing at another. */
  private mayBeTorn = false;
  isTorn = false;

  constructor(ports: LedgerPorts) {
    this.ports = ports;
    this.books = Array.from({ length: ports.partitions }, () => ({
      frames: 0,
      epoch: 0,
      crc: 0,
      sent: new Map(),
      taken: new Map(),
      actors: new Map(),
    }));
  }

  /** An empty one, to be written anew after a tail was lost. */
  anew(): Ledger {
    const ledger = new Ledger(this.ports);
    ledger.mayBeTorn = true;
    return ledger;
  }

  /** It is written anew. What was there before: replies that left, and actors that are known to drift. */
  inherit({ replies, drifted }: Ledger): void {
    this.mayBeTorn = false;
    for (const reply of replies) this.replies.add(reply);
    for (const actor of drifted) this.drifted.add(actor);
  }

  apply(partition: number, sequence: number, frame: Buffer): void {
    const book = this.books[partition]!;
    const header = readFrameHeader(frame);
    if (header.frameNo !== sequence) {
      this.misplaced(partition, sequence, book, header);
      return;
    }
    this.checkChain(partition, sequence, book, header);
    this.hash = (Math.imul(this.hash ^ header.payloadCrc, 0x01000193) + sequence) | 0;
    visitEntries(frame, header, this.visitor(partition, book));
  }

  private checkChain(p: number, sequence: number, book: Book, header: FrameHeader): void {
    const what = (): string =>
      `partition ${p} sequence ${sequence}: frame ${header.frameNo} epoch ${header.epoch} after frame ${book.frames} epoch ${book.epoch}`;
    promise(header.partition === p && header.frameNo === sequence, what);
    promise(header.frameNo === book.frames + 1 && header.previousCrc === book.crc, what);
    const isEpoch = (header.flags & FRAME_FLAG_EPOCH) !== 0;
    promise(isEpoch ? header.epoch > book.epoch : header.epoch === book.epoch, what);
    if (isEpoch) this.ports.coverage.hit("frame of an epoch");
    book.frames = header.frameNo;
    book.epoch = header.epoch;
    book.crc = header.payloadCrc;
  }

  /** An epoch frame that an old owner was ahead of: it has a place and ends the epoch, no more. */
  private misplaced(p: number, sequence: number, book: Book, header: FrameHeader): void {
    const isEpoch = (header.flags & FRAME_FLAG_EPOCH) !== 0;
    const isHere = header.partition === p && sequence === book.frames + 1;
    promise(
      isEpoch && isHere && header.epoch > book.epoch && header.frameNo < sequence,
      () => `partition ${p} sequence ${sequence}: frame ${header.frameNo} is out of place`,
    );
    book.frames = sequence;
    book.epoch = header.epoch;
  }

  private visitor(partition: number, book: Book): EntryVisitor {
    const { coverage } = this.ports;
    return {
      accepted: (flags, source, _incarnation, n, frame, offset, length) => {
        this.take(partition, book, flags, source, n, frame.subarray(offset, offset + length));
      },
      turn: (turn, frame, from, to) => {
        this.turn(partition, book, turn, frame, from, to);
      },
      turnFailed: () => undefined,
      deadLetter: ({ code }) => {
        coverage.hitNamed(`dead letter ${code}`);
      },
      intent: () => {
        coverage.hit("intent written");
      },
      control: (json) => {
        this.control(book, JSON.parse(json) as Control);
      },
      moved: () => {
        coverage.hit("message moved");
      },
      upgrade: () => {
        coverage.hit("actor went over to another version");
      },
      checkpoint: () => {
        coverage.hit("checkpoint named");
      },
      systemSend: (_no, frame, offset, length) => {
        coverage.hit("failure sent to an asker");
        this.send(partition, book, frame.subarray(offset, offset + length), false);
      },
    };
  }

  private take(
    partition: number,
    book: Book,
    flags: number,
    source: number,
    n: number,
    envelope: Buffer,
  ): void {
    const { coverage } = this.ports;
    const kind = flags & SOURCE_MASK;
    if ((flags & ACCEPTED_DISCARDED) !== 0) coverage.hit("late answer discarded");
    if (kind === SOURCE_PARTITION) {
      const taken = book.taken.get(source) ?? 0;
      promise(n === taken + 1, () => `${partition} took ${n} of ${source} after ${taken}`);
      const sent = this.books[source]!.sent.get(partition)?.[n - 1];
      const isTorn = sent === undefined && this.mayBeTorn;
      this.isTorn ||= isTorn;
      promise(
        isTorn || sent !== undefined,
        () => `${partition} took ${n} of ${source} before it was durable`,
      );
      promise(
        sent?.equals(envelope) !== false,
        () => `${partition} took another ${n} than ${source} sent`,
      );
      book.taken.set(source, n);
      coverage.hit("relay accepted");
      return;
    }
    if (kind === SOURCE_TIMER) coverage.hit("timer fired");
    else if (kind === SOURCE_SYSTEM) coverage.hit("ask timed out");
    else if (kind === SOURCE_EPHEMERAL) {
      coverage.hit("message of an ephemeral actor accepted");
      this.bear(envelope);
    } else {
      if (kind === SOURCE_STREAM) coverage.hit("streamed message accepted");
      this.takeFromClient(envelope, (flags & ACCEPTED_REMEMBERED) !== 0);
    }
  }

  private takeFromClient(envelope: Buffer, remembered: boolean): void {
    const { ports } = this;
    const token = tokenOf(envelope, 0);
    const nowMs = ports.wallMs();
    if (this.accepted.has(token)) {
      const afterMs = nowMs - ports.firstSentMs(token);
      promise(
        remembered && (!ports.checksWindow || afterMs >= ports.dedupWindowMs),
        () => `${token} was accepted again after ${afterMs} ms`,
      );
      this.repeated.add(token);
    }
    this.accepted.add(token);
    this.bear(envelope);
  }

  private bear(envelope: Buffer): void {
    const isAnswer = (envelopeFlags(envelope, 0) & (FLAG_REPLY | FLAG_FAILURE)) !== 0;
    if (!isAnswer) this.born.add(tokenOf(envelope, 0));
  }

  private turn(
    partition: number,
    book: Book,
    turn: TurnFields,
    frame: Buffer,
    from: number,
    to: number,
  ): void {
    const { coverage } = this.ports;
    coverage.hit("turn committed");
    if (turn.open) coverage.hit("turn left open");
    if (turn.rootSeq !== 0) coverage.hit("turn continued a handler");
    let note: Note | undefined;
    let address = "";
    for (let at = from; at < to; at += frame.readUInt32LE(at)) {
      const kind = frame[at + EFFECT_AT_KIND];
      const header = kind === EFFECT_ASK ? EFFECT_ASK_HEADER_BYTES : EFFECT_SEND_HEADER_BYTES;
      if (kind === EFFECT_SEND || kind === EFFECT_ASK || kind === EFFECT_REPLY) {
        const envelope = frame.subarray(at + header, at + header + frame.readUInt32LE(at + header));
        this.send(partition, book, envelope, frame[at + EFFECT_AT_FLAGS] === EFFECT_UNNUMBERED);
      } else if (kind === EFFECT_EMIT) {
        const text = noteIn(frame, at);
        if (text !== undefined) ({ note, address } = JSON.parse(text) as Noted);
      }
    }
    promise(note !== undefined, () => `a turn of partition ${partition} says nothing of itself`);
    this.checkPlace(partition, turn.messagePosition, note.token);
    this.note(partition, actorBook(book, address), turn, note, address);
  }

  private checkPlace(partition: number, position: number, token: string): void {
    const frame = this.ports.frame(partition, sequenceOf(position));
    const found = tokenOf(frame, offsetOf(position));
    promise(found === token, () => `the turn of ${token} names the place of ${found}`);
  }

  private note(
    partition: number,
    actor: ActorBook,
    turn: TurnFields,
    note: Note,
    address: string,
  ): void {
    const where = `${address} turn ${note.turns}`;
    const token = note.token.startsWith("answer") ? `${partition} ${note.token}` : note.token;
    const before = this.handled.get(token);
    promise(
      before === undefined || this.mayRecur(token, note.sender),
      () => `${token} was handled by ${before ?? ""} and again by ${where}`,
    );
    this.handled.set(token, where);
    promise(note.turns === actor.turns + 1, () => `${where}: its memory is of turn ${actor.turns}`);
    promise(note.count === actor.count + 1, () => `${where}: its state is of ${actor.count}`);
    promise(
      note.nowMs >= actor.nowMs,
      () => `${where}: time went back by ${actor.nowMs - note.nowMs}`,
    );
    promise(note.nowMs === turn.nowMs, () => `${where}: the journal has another time`);
    actor.turns = note.turns;
    actor.count = note.count;
    actor.nowMs = note.nowMs;
    if (note.drifts) this.drifted.add(address);
    if (note.place === undefined || this.ports.isEphemeral(note.sender)) return;
    if (this.ports.isOutOfOrder(token) || this.removed.has(agentOf(note.sender))) return;
    const place = actor.places.get(note.sender) ?? -1;
    promise(note.place > place, () => `${where}: ${token} of ${note.sender} came after ${place}`);
    actor.places.set(note.sender, note.place);
  }

  /**
   * A client's message that was taken twice; and what its handling sends, by an actor whose agent was removed
   * in between: in its second life it counts its sends from the beginning.
   */
  private mayRecur(token: string, sender: string): boolean {
    if (this.repeated.has(token)) return true;
    return this.repeated.has(rootOf(token)) && this.removed.has(agentOf(sender));
  }

  private send(partition: number, book: Book, envelope: Buffer, unnumbered: boolean): void {
    const parts = envelopeParts(envelope, 0);
    const id = envelope.toString("latin1", parts.id, parts.sender);
    promise(!this.ids.has(id), () => `two messages have the id ${id}`);
    this.ids.add(id);
    if ((envelopeFlags(envelope, 0) & FLAG_CLIENT) !== 0) {
      this.replies.add(id);
      return;
    }
    if (unnumbered) return;
    this.bear(envelope);
    const hash = hashAddress(envelope, parts.receiver, parts.extensions - parts.receiver);
    const destination = partitionOf(hash, this.ports.partitions);
    if (destination === partition) return;
    const sent = book.sent.get(destination);
    if (sent === undefined) book.sent.set(destination, [envelope]);
    else sent.push(envelope);
  }

  private control({ actors }: Book, control: Control): void {
    const { coverage } = this.ports;
    switch (control.kind) {
      case "deploy":
        coverage.hit("agent deployed anew");
        if (control.resetMemory) forgetMemory(actors, (actor) => agentOf(actor) === control.agent);
        return;
      case "remove":
        coverage.hit("agent removed");
        this.removed.add(control.agent);
        for (const address of actors.keys()) {
          if (agentOf(address) === control.agent) actors.delete(address);
        }
        return;
      case "reset":
        coverage.hit("actor reset");
        forgetMemory(actors, (actor) => actor === control.actor);
        return;
      case "suspend":
        coverage.hit("agent suspended");
        return;
      case "resume":
        coverage.hit("agent resumed");
        return;
      case "hold":
        promise(control.code !== "SNAPSHOT_DAMAGED", () => `${control.actor}: its image has gone`);
        coverage.hit("actor held");
        return;
      case "release":
        coverage.hit("actor released");
        return;
      case "dead-letter-retry":
        coverage.hit("dead letter retried");
        return;
      case "dead-letter-drop":
        coverage.hit("dead letter dropped");
        return;
      case "stream-wait":
        coverage.hit("streamed message waits");
        return;
      case "stream-begin":
      case "stream-done":
    }
  }

  /** Sends that their destination has not taken. */
  untaken(): string[] {
    return this.books.flatMap((book, source) =>
      [...book.sent].flatMap(([destination, sent]) => {
        const taken = this.books[destination]!.taken.get(source) ?? 0;
        return taken === sent.length
          ? []
          : [`${destination} took ${taken} of ${sent.length} of ${source}`];
      }),
    );
  }
}

function actorBook({ actors }: Book, address: string): ActorBook {
  let actor = actors.get(address);
  if (actor === undefined) {
    actor = { turns: 0, count: 0, nowMs: 0, places: new Map() };
    actors.set(address, actor);
  }
  return actor;
}

/** Memory is gone, state stays. */
function forgetMemory(
  actors: ReadonlyMap<string, ActorBook>,
  isMeant: (address: string) => boolean,
): void {
  for (const [address, actor] of actors) if (isMeant(address)) actor.turns = 0;
}

interface Noted {
  readonly note: Note;
  readonly address: string;
}

function noteIn(frame: Buffer, at: number): string | undefined {
  const topic = at + EFFECT_KEYED_HEADER_BYTES;
  const value = topic + frame.readUInt16LE(at + EFFECT_AT_SHORT);
  if (frame.toString("latin1", topic, value) !== NOTE_TOPIC) return undefined;
  return frame.toString("utf8", value, value + frame.readUInt32LE(at + EFFECT_AT_NUMBER));
}

/** Of the client's message that all came of. */
function rootOf(token: string): string {
  return token.split("+", 1)[0]!;
}

function agentOf(address: string): string {
  return address.slice(0, address.lastIndexOf("/"));
}
