/**
 * All state of a partition. It changes only by the methods here, each of which stands for one entry of a
 * frame; live processing calls them as it writes entries, recovery as it reads them.
 *
 * 1. The same entries in the same order give the same state.
 * 2. Messages are numbered (`seq`) in order of acceptance, whichever door they came through; those that no
 *    log holds have numbers of their own.
 * 3. A source's cursor advances by exactly one per accepted message of that source.
 */
import { copyOf } from "../../base/bytes.ts";
import { invariant } from "../../base/assert.ts";
import { MinHeap } from "../../base/heap.ts";
import type { Queue } from "../../base/queue.ts";
import { hashAddress, parseAddress, partitionOf } from "../address.ts";
import type { Environment } from "../environment.ts";
import type { NodeLimits } from "../../base/config-schema.ts";
import {
  AT_CORRELATION,
  FLAG_CLIENT,
  FLAG_FAILURE,
  FLAG_REPLY,
  FLAG_TIMER,
  FLAG_WANTS_REPLY,
  TAG_CHAIN,
  envelopeFlags,
  envelopeParts,
  findExtension,
} from "../wasm/envelope.ts";
import { messageIdPrefix } from "../wasm/message-id.ts";
import { Handler, IDLE, rootOf } from "./actor.ts";
import type { Actor, PendingTimer, RootMessage } from "./actor.ts";
import { ActorTable } from "./actor-table.ts";
import type { AgentShare } from "./agent-share.ts";
import { ClientIds } from "./client-ids.ts";
import type { ClientOutcome } from "./client-ids.ts";
import { DeadLetterStore } from "./dead-letter-store.ts";
import { PendingMessage } from "./message.ts";
import { ImagePacks } from "./image-packs.ts";
import { Outbox } from "./outbox.ts";
import { StreamCursor } from "./stream-cursor.ts";

export interface PendingAsk {
  readonly number: number;
  readonly actor: Actor;
  readonly rootSeq: number;
  readonly deadlineMs: number;
}

/** What became of a delivery. Only `enqueued` reached a mailbox; the others wait for the entry that says why. */
export type Delivery =
  | { readonly kind: "enqueued"; readonly actor: Actor; readonly message: PendingMessage }
  | { readonly kind: "discarded" }
  | Undeliverable;

export interface Undeliverable {
  readonly kind: "undeliverable";
  readonly message: PendingMessage;
  readonly code: "AGENT_NOT_FOUND" | "MAILBOX_FULL" | "REENTRANT_ASK";
}

const DISCARDED: Delivery = { kind: "discarded" };
const RESTART_HISTORY_MAX = 256;
/** Messages that no log holds are numbered from here: the others' numbers must follow from the log. */
const UNLOGGED_SEQ_FIRST = 2 ** 52;
export const NO_REPLY_REASON = "the handler ended without a reply";

export interface PartitionIdentity {
  readonly id: number;
  /** Partitions of the node, a power of two. */
  readonly partitions: number;
  readonly incarnation: number;
}

export class PartitionState {
  readonly id: number;
  readonly partitions: number;
  readonly idPrefix: Buffer;
  readonly limits: NodeLimits;
  readonly actors = new ActorTable();
  readonly agents = new Map<string, AgentShare>();
  readonly clients: ClientIds;
  readonly deadLetters: DeadLetterStore;
  readonly outboxes = new Map<number, Outbox>();
  readonly asks = new Map<number, PendingAsk>();
  readonly askDeadlines = new MinHeap<PendingAsk>();
  readonly timerQueue = new MinHeap<PendingTimer>();
  private timersLive = 0;
  /** Last accepted number of each source partition. */
  readonly cursors = new Map<number, number>();
  readonly stream = new StreamCursor();
  /** Packed images of actors. */
  readonly images = new ImagePacks();
  /** The log may be gone below this frame; a pending message that is there is written again. */
  logFloor = 1;
  nextSendNo = 1;
  /** Newest time any entry carries: `now` never goes back. */
  lastNowMs = 0;
  pending = 0;
  /** Undelivered messages between their acceptance and the entry that disposes of them. */
  private readonly orphans = new Map<number, Undeliverable>();
  /** Number of the newest message. */
  lastSeq = 0;
  private lastUnloggedSeq = UNLOGGED_SEQ_FIRST;
  turns = 0;
  turnsFailed = 0;
  /** Told when a client's ask has its outcome; live processing answers it when the frame is durable. */
  completed: ((id: string, outcome: ClientOutcome) => void) | undefined;

  constructor(identity: PartitionIdentity, limits: NodeLimits) {
    this.id = identity.id;
    this.partitions = identity.partitions;
    this.idPrefix = messageIdPrefix(identity.incarnation, identity.id);
    this.limits = limits;
    this.clients = new ClientIds(
      limits.clientIdsMax,
      limits.clientIdBytesMax,
      limits.dedupWindowMs,
    );
    this.deadLetters = new DeadLetterStore(limits.deadLettersMax, limits.deadLetterBytesMax);
  }

  get outboxBytes(): number {
    let bytes = 0;
    for (const outbox of this.outboxes.values()) bytes += outbox.bytes;
    return bytes;
  }

  outbox(destination: number): Outbox {
    let outbox = this.outboxes.get(destination);
    if (outbox === undefined) {
      outbox = new Outbox();
      this.outboxes.set(destination, outbox);
    }
    return outbox;
  }

  /** A source's next number has been taken. */
  advanceCursor(source: number, n: number): void {
    invariant(n === (this.cursors.get(source) ?? 0) + 1, "a cursor advances by one");
    this.cursors.set(source, n);
  }

  /**
   * The ask that a reply or failure answers, if its actor still waits. Numbers of asks that no log holds
   * come again after a crash: the actor has to be the right one, too.
   */
  awaited(bytes: Buffer, offset: number): PendingAsk | undefined {
    const ask = this.asks.get(Number(bytes.readBigUInt64LE(offset + AT_CORRELATION)));
    if (ask === undefined) return undefined;
    const { receiver, extensions } = envelopeParts(bytes, offset);
    return ask.actor.addressBytes.equals(bytes.subarray(receiver, extensions)) ? ask : undefined;
  }

  /** Brings a message to its actor's mailbox. `log` is its position in the log, -1 for none. */
  deliver(bytes: Buffer, offset: number, length: number, log: number): Delivery {
    const flags = envelopeFlags(bytes, offset);
    let rootSeq = 0;
    if ((flags & (FLAG_REPLY | FLAG_FAILURE)) !== 0) {
      const ask = this.awaited(bytes, offset);
      if (ask === undefined) return DISCARDED;
      this.asks.delete(ask.number);
      ask.actor.asks--;
      rootSeq = ask.rootSeq;
    }
    const parts = envelopeParts(bytes, offset);
    const hash = hashAddress(bytes, parts.receiver, parts.extensions - parts.receiver);
    const actor = this.actorAt(bytes, parts.receiver, parts.extensions, hash);
    if (actor === undefined) {
      return this.orphan(flags, bytes, offset, length, log, "AGENT_NOT_FOUND");
    }
    if ((flags & FLAG_TIMER) !== 0) {
      rootSeq = this.takeTimer(actor, bytes.readBigUInt64LE(offset + AT_CORRELATION));
    }
    if (this.isReentrant(actor, flags, bytes, parts.extensions, parts.content)) {
      return this.orphan(flags, bytes, offset, length, log, "REENTRANT_ASK");
    }
    if (this.isFull(actor, flags, length)) {
      return this.orphan(flags, bytes, offset, length, log, "MAILBOX_FULL");
    }
    const message = new PendingMessage(
      this.nextSeq(log),
      flags,
      bytes,
      offset,
      length,
      log,
      rootSeq,
    );
    if (rootSeq !== 0 && actor.handlers.has(rootSeq)) actor.answers.push(message);
    else actor.inbox.push(message);
    actor.agent.pendingBytes += length;
    this.pending++;
    return { kind: "enqueued", actor, message };
  }

  private nextSeq(log: number): number {
    return log < 0 ? ++this.lastUnloggedSeq : ++this.lastSeq;
  }

  /** A message of a checkpoint, in the order of its lane. */
  restore(actor: Actor, lane: Queue<PendingMessage>, message: PendingMessage): void {
    lane.push(message);
    actor.agent.pendingBytes += message.length;
    this.pending++;
  }

  restoreUndelivered(message: PendingMessage, code: Undeliverable["code"]): void {
    this.orphans.set(message.seq, { kind: "undeliverable", message, code });
  }

  private orphan(
    flags: number,
    bytes: Buffer,
    offset: number,
    length: number,
    log: number,
    code: Undeliverable["code"],
  ): Delivery {
    const seq = this.nextSeq(log);
    const message = new PendingMessage(seq, flags, bytes, offset, length, log, 0);
    const undeliverable: Undeliverable = { kind: "undeliverable", message, code };
    this.orphans.set(message.seq, undeliverable);
    return undeliverable;
  }

  actorByAddress(address: string): Actor | undefined {
    const bytes = Buffer.from(address, "latin1");
    return this.actors.find(hashAddress(bytes, 0, bytes.length), bytes, 0, bytes.length);
  }

  /** Messages whose disposal did not reach the log: what recovery leaves to do. */
  undelivered(): IterableIterator<Undeliverable> {
    return this.orphans.values();
  }

  /** Finds or activates the actor; undefined when its agent is not deployed. */
  actorAt(bytes: Buffer, from: number, to: number, hash: number): Actor | undefined {
    const found = this.actors.find(hash, bytes, from, to - from);
    if (found !== undefined) return found;
    const address = bytes.toString("latin1", from, to);
    const share = this.agents.get(address.slice(0, address.lastIndexOf("/")));
    return share === undefined ? undefined : this.actors.create(address, hash, share);
  }

  /** Replies and timers draw on a share of their own, bounded by the actor's asks and timers. */
  isFull(actor: Actor, flags: number, length: number): boolean {
    if ((flags & (FLAG_REPLY | FLAG_FAILURE | FLAG_TIMER)) !== 0) return false;
    const { limits } = actor.environment.manifest;
    return (
      actor.inbox.length >= limits.mailboxMessagesMax ||
      actor.agent.pendingBytes + length > limits.mailboxBytesMax
    );
  }

  /** An ask that comes back to a handler that waits, however indirectly, for this very ask. */
  private isReentrant(
    actor: Actor,
    flags: number,
    bytes: Buffer,
    extensions: number,
    content: number,
  ): boolean {
    if ((flags & FLAG_WANTS_REPLY) === 0 || actor.handlers.size === 0) return false;
    if (actor.environment.manifest.reentrant) return false;
    const chain = findExtension(bytes, extensions, content, TAG_CHAIN);
    if (chain === undefined) return false;
    for (let at = 0; at < chain.length;) {
      const length = chain.readUInt16LE(at + 8);
      const isSelf = actor.addressBytes.equals(chain.subarray(at + 10, at + 10 + length));
      if (isSelf && actor.handlers.has(chain.readDoubleLE(at))) return true;
      at += 10 + length;
    }
    return false;
  }

  /** A client's message was accepted under this id. */
  rememberClient(id: string, nowMs: number, frame: number, wantsReply: boolean): void {
    this.clients.expire(nowMs);
    this.clients.accept(id, nowMs, frame, wantsReply);
  }

  /** Takes a message out of its mailbox or from between the doors. */
  consume(actor: Actor | undefined, seq: number): PendingMessage {
    const orphan = this.orphans.get(seq);
    if (orphan !== undefined) {
      this.orphans.delete(seq);
      orphan.message.consumed = true;
      return orphan.message;
    }
    invariant(actor !== undefined, "a consumed message is somewhere");
    const queue = actor.answers.peek()?.seq === seq ? actor.answers : actor.inbox;
    const message = queue.shift();
    invariant(message !== undefined && message.seq === seq, "messages are consumed in order");
    actor.agent.pendingBytes -= message.length;
    this.pending--;
    message.consumed = true;
    return message;
  }

  /**
   * The handler a turn belongs to, open from now on or no longer. Before the turn's effects: an ask to
   * oneself meets the handler that waits for it.
   */
  beginHandler(actor: Actor, message: PendingMessage, open: boolean): Handler {
    const continued = actor.handlers.get(message.rootSeq);
    const handler = continued ?? new Handler(message);
    if (open) actor.handlers.set(handler.rootSeq, handler.keep());
    else if (continued !== undefined) actor.handlers.delete(handler.rootSeq);
    return handler;
  }

  /** A handler ended: one that owes a reply fails its asker. True when it did. */
  endHandler(handler: Handler): boolean {
    if (handler.replied || (handler.flags & FLAG_WANTS_REPLY) === 0) return false;
    const failure = { kind: "failure", code: "NO_REPLY", reason: NO_REPLY_REASON } as const;
    this.completeClient(handler.root, failure);
    return true;
  }

  addAsk(number: number, actor: Actor, rootSeq: number, deadlineMs: number): void {
    const ask: PendingAsk = { number, actor, rootSeq, deadlineMs };
    this.asks.set(number, ask);
    this.askDeadlines.push(deadlineMs, ask);
    actor.asks++;
  }

  setTimer(timer: PendingTimer): void {
    if (!timer.actor.timers.has(timer.id)) this.timersLive++;
    timer.actor.timers.set(timer.id, timer);
    this.timerQueue.push(timer.dueMs, timer);
    // Replaced and cancelled timers stay in the queue until they are due: drop them before they pile up.
    if (this.timerQueue.size > 1024 && this.timerQueue.size > 4 * this.timersLive) {
      this.timerQueue.keep((queued) => this.isSet(queued));
    }
  }

  /** True while this very timer is set (not cancelled, replaced or fired). */
  isSet(timer: PendingTimer): boolean {
    return timer.actor.timers.get(timer.id) === timer;
  }

  /** Removes a timer; returns the handler it belongs to. */
  takeTimer(actor: Actor, id: bigint): number {
    const timer = actor.timers.get(id);
    if (timer === undefined) return 0;
    actor.timers.delete(id);
    this.timersLive--;
    return timer.rootSeq;
  }

  putState(actor: Actor, key: string, value: Buffer | undefined): void {
    const before = actor.state.get(key);
    if (before !== undefined) actor.stateBytes -= key.length + before.length;
    if (value === undefined) {
      actor.state.delete(key);
      return;
    }
    actor.state.set(key, value);
    actor.stateBytes += key.length + value.length;
  }

  /** A message will not be handled. `keep` puts it among the dead letters. */
  deadLetter(
    message: PendingMessage,
    attempts: number,
    atMs: number,
    code: string,
    reason: string,
  ): void {
    if (code !== "REENTRANT_ASK") {
      const { bytes, offset, length } = message;
      this.deadLetters.add({
        seq: message.seq,
        envelope: copyOf(bytes, offset, length),
        logPosition: message.logPosition,
        code,
        reason,
        attempts,
        atMs,
      });
    }
    this.completeClient(rootOf(message), { kind: "failure", code, reason });
  }

  /** A client that waits for a reply gets it, or a failure instead. */
  completeClient(root: RootMessage, outcome: ClientOutcome): void {
    const waits = FLAG_CLIENT | FLAG_WANTS_REPLY;
    if ((root.flags & waits) !== waits) return;
    const parts = envelopeParts(root.envelope, 0);
    const id = root.envelope.toString("utf8", parts.id, parts.sender);
    this.clients.complete(id, outcome);
    this.completed?.(id, outcome);
  }

  turnDone(actor: Actor): void {
    this.turns++;
    actor.turnsTotal++;
    actor.agent.messagesHandled++;
  }

  /** A turn failed: its message stays where it is. */
  turnFailed(actor: Actor, message: PendingMessage, attempts: number, nowMs: number): void {
    message.attempts = attempts;
    message.intents = 0;
    actor.agent.messagesFailed++;
    this.turnsFailed++;
    for (const restarted of [actor, ...this.siblings(actor)]) recordRestart(restarted, nowMs);
  }

  /** A message is given up after its last attempt; a handler that waited for it is over. */
  giveUp(actor: Actor, message: PendingMessage, atMs: number, code: string, reason: string): void {
    this.consume(actor, message.seq);
    const handler = actor.handlers.get(message.rootSeq);
    if (handler !== undefined) {
      actor.handlers.delete(message.rootSeq);
      if (!handler.replied) this.completeClient(handler.root, { kind: "failure", code, reason });
    }
    if (!actor.agent.isEphemeral) {
      this.deadLetter(message, message.attempts, atMs, code, reason);
    }
  }

  /** Members of the actor's group that restart with it. */
  siblings(actor: Actor): Actor[] {
    const { groups } = actor.environment.manifest.supervision;
    const key = unescapedKey(actor);
    const group = groups.find((g) => g.members.includes(key));
    if (group === undefined || group.strategy === "one_for_one") return [];
    const start = group.strategy === "rest_for_one" ? group.members.indexOf(key) : 0;
    const restarting = new Set(group.members.slice(start));
    return [...actor.agent.actors].filter((a) => a !== actor && restarting.has(unescapedKey(a)));
  }

  /** Forgets the actor's turns; its key-value state stays. Returns the roots of handlers that are gone. */
  resetMemory(actor: Actor): RootMessage[] {
    actor.forgetMemory();
    actor.baseState = actor.state.size === 0 ? undefined : new Map(actor.state);
    const roots = [...actor.handlers.values()].filter((h) => !h.replied).map((h) => h.root);
    actor.handlers.clear();
    if (actor.phase.kind === "held") actor.phase = IDLE;
    actor.environment = actor.agent.environment;
    return roots;
  }

  /**
   * The actor's memory is what its agent's newest version made of the old one's state, from the entry at
   * this position. Returns the roots of handlers that are gone.
   */
  upgraded(
    actor: Actor,
    environment: Environment,
    entry: number,
    state: number,
    bytes: number,
  ): RootMessage[] {
    const roots = this.resetMemory(actor);
    actor.environment = environment;
    actor.turns.add(entry, state, bytes);
    return roots;
  }

  /** Removes an actor and what it waits for; returns the messages it had not handled. */
  removeActor(actor: Actor): PendingMessage[] {
    const left: PendingMessage[] = [];
    for (let next = actor.nextInOrder(); next !== undefined; next = actor.nextInOrder()) {
      left.push(this.consume(actor, next.seq));
    }
    for (const ask of this.asks.values()) if (ask.actor === actor) this.asks.delete(ask.number);
    this.timersLive -= actor.timers.size;
    actor.timers.clear();
    this.actors.remove(actor);
    return left;
  }

  destinationOf(hash: number): number {
    return partitionOf(hash, this.partitions);
  }
}

function unescapedKey(actor: Actor): string {
  return parseAddress(actor.address).key;
}

function recordRestart(actor: Actor, nowMs: number): void {
  const { windowMs } = actor.environment.manifest.supervision;
  actor.restartTimesMs = actor.restartTimesMs
    .filter((at) => at > nowMs - windowMs)
    .slice(-RESTART_HISTORY_MAX);
  actor.restartTimesMs.push(nowMs);
  actor.restartsTotal++;
}
