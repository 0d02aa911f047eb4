/**
 * The host calls of module `caxton` and the turn they belong to.
 *
 * Owns the context of the turn that runs now; one per worker. Guest code runs inside a time limit whose
 * end can't be caught, so these functions only check, copy into the ring and advance `sendNo`; whatever
 * else a turn means happens after the batch (see partition/processor.ts).
 */
import { CaxtonError } from "../../base/errors.ts";
import type { ErrorCode } from "../../base/errors.ts";
import { SeededRandom } from "../../base/random.ts";
import { ADDRESS_BYTES_MAX, hashAddress } from "../address.ts";
import type { Environment } from "../environment.ts";
import { rootOf } from "../partition/actor.ts";
import type { Actor, OpenHandler, RootMessage } from "../partition/actor.ts";
import type { PendingMessage } from "../partition/message.ts";
import type { LogLine } from "../turn-batch.ts";
import type { EffectRing } from "./effects.ts";
import {
  EFFECT_ASK,
  EFFECT_ASK_AT_DEADLINE,
  EFFECT_ASK_HEADER_BYTES,
  EFFECT_EMIT,
  EFFECT_KEYED_HEADER_BYTES,
  EFFECT_REPLY,
  EFFECT_SEND,
  EFFECT_SEND_HEADER_BYTES,
  EFFECT_STATE_DELETE,
  EFFECT_STATE_PUT,
  EFFECT_TIMER_AT_DUE,
  EFFECT_TIMER_AT_ID,
  EFFECT_TIMER_CANCEL,
  EFFECT_TIMER_HEADER_BYTES,
  EFFECT_TIMER_SET,
} from "./effects.ts";
import {
  AT_CONTENT_BYTES,
  AT_CORRELATION,
  AT_EXTENSION_BYTES,
  AT_FLAGS,
  AT_ID_BYTES,
  AT_PERFORMATIVE,
  DRAFT_HEADER_BYTES,
  ENVELOPE_HEADER_BYTES,
  FLAG_CLIENT,
  FLAG_REPLY,
  FLAG_TIMER,
  FLAG_WANTS_REPLY,
  TAG_CHAIN,
  TAG_CONVERSATION_ID,
  TAG_IN_REPLY_TO,
  TAG_REPLY_WITH,
  envelopeParts,
  extension,
  extensionsAreValid,
  findExtension,
} from "./envelope.ts";
import { MESSAGE_NUMBER_BYTES, writeMessageId } from "./message-id.ts";

const ASK_TIMEOUT_DEFAULT_MS = 30_000;
const KEY_BYTES_MAX = 1024;
const LOG_BYTES_MAX = 8192;
const LOG_LINES_PER_TURN_MAX = 256;

const NO_BYTES = Buffer.alloc(0);

/** Thrown by host calls: ends the guest like a trap, with a reason. */
export class HostTrap extends CaxtonError {}

function trap(code: ErrorCode, reason: string): never {
  throw new HostTrap(code, reason);
}

/** Memory of the running instance; `bytes` is renewed when the guest has grown it. */
export interface GuestMemory {
  bytes: Buffer;
  refresh(): void;
}

export class TurnContext {
  readonly ring: EffectRing;
  readonly random = new SeededRandom(0);
  readonly logs: LogLine[];
  private readonly askChainMax: number;
  idPrefix!: Buffer;
  memory!: GuestMemory;
  actor!: Actor;
  environment!: Environment;
  /** The message this turn consumes. */
  message!: PendingMessage;
  /** The open handler the turn continues; undefined when it begins its own. */
  handler: OpenHandler | undefined;
  replied = false;
  nowMs = 0;
  sendNo = 0;
  ringStart = 0;
  turnIndex = 0;
  /**
   * State as of the turn that is replayed, undefined in live turns. In replay, limits that depend on
   * what is not replayed are not checked again and nothing is logged.
   */
  replayState: Map<string, Buffer> | undefined;
  logLinesLeft = LOG_LINES_PER_TURN_MAX;

  constructor(ring: EffectRing, logs: LogLine[], askChainMax: number) {
    this.askChainMax = askChainMax;
    this.ring = ring;
    this.logs = logs;
  }

  begin(
    actor: Actor,
    message: PendingMessage,
    handler: OpenHandler | undefined,
    environment: Environment,
  ): void {
    this.actor = actor;
    this.message = message;
    this.handler = handler;
    this.replied = handler?.replied ?? false;
    this.environment = environment;
    this.ringStart = this.ring.cursor;
    this.logLinesLeft = LOG_LINES_PER_TURN_MAX;
  }

  /** Made on demand: most turns neither ask nor reply. */
  get root(): RootMessage {
    return this.handler?.root ?? rootOf(this.message);
  }

  /** The guest's bytes [ptr, ptr+len), or a trap. Returns the checked start. */
  range(ptr: number, len: number, what: string): number {
    const start = ptr >>> 0;
    const length = len >>> 0;
    if (this.memory.bytes.length === 0) this.memory.refresh();
    if (start + length > this.memory.bytes.length) {
      trap(
        "HOST_CALL_INVALID",
        `${what}: bytes ${String(start)} to ${String(start + length)} lie outside memory of ${String(this.memory.bytes.length)} bytes`,
      );
    }
    return start;
  }

  reserve(kind: number, short: number, number: number, bytes: number): number {
    const { ring } = this;
    const limit = this.environment.manifest.limits.effectsBytesMax;
    const used = ring.cursor - this.ringStart;
    if (used + bytes + 3 > limit) {
      trap("EFFECTS_TOO_LARGE", `the effects of this turn pass ${String(limit)} bytes`);
    }
    return ring.reserve(kind, short, number, bytes);
  }

  send(ptr: number, len: number): void {
    this.sendDraft(EFFECT_SEND, EFFECT_SEND_HEADER_BYTES, ptr, len, NO_BYTES);
  }

  ask(ptr: number, len: number, timeoutMs: number): bigint {
    const { limits } = this.environment.manifest;
    if (this.replayState === undefined && this.actor.asks >= limits.asksPendingMax) {
      trap("OVERLOADED", `the actor waits for ${String(limits.asksPendingMax)} replies already`);
    }
    const number = this.sendNo;
    const at = this.sendDraft(EFFECT_ASK, EFFECT_ASK_HEADER_BYTES, ptr, len, this.chain());
    const { view } = this.ring;
    const wait = timeoutMs >>> 0 || ASK_TIMEOUT_DEFAULT_MS;
    view.setFloat64(at + EFFECT_ASK_AT_DEADLINE, this.nowMs + wait, true);
    const envelope = at + EFFECT_ASK_HEADER_BYTES;
    view.setUint16(envelope + AT_FLAGS, FLAG_WANTS_REPLY, true);
    view.setBigUint64(envelope + AT_CORRELATION, BigInt(number), true);
    return BigInt(number);
  }

  /** The open handlers this ask stands under, itself included: (address, seq) each. */
  private chain(): Buffer {
    const { root, actor } = this;
    const parts = envelopeParts(root.envelope, 0);
    const before = findExtension(root.envelope, parts.extensions, parts.content, TAG_CHAIN);
    const own = Buffer.allocUnsafe(10 + actor.addressBytes.length);
    own.writeDoubleLE(root.seq, 0);
    own.writeUInt16LE(actor.addressBytes.length, 8);
    own.set(actor.addressBytes, 10);
    const chain = before === undefined ? own : Buffer.concat([before, own]);
    let links = 0;
    for (let at = 0; at < chain.length; at += 10 + chain.readUInt16LE(at + 8)) links++;
    if (links > this.askChainMax) {
      trap("ASK_CHAIN_TOO_LONG", `${String(links)} asks wait for each other`);
    }
    return extension(TAG_CHAIN, chain);
  }

  reply(ptr: number, len: number): void {
    if (this.replied) trap("HOST_CALL_INVALID", "reply: this handler has replied already");
    this.replied = true;
    const { root } = this;
    const toClient = (root.flags & FLAG_CLIENT) !== 0;
    const wanted = (root.flags & FLAG_WANTS_REPLY) !== 0;
    const parts = envelopeParts(root.envelope, 0);
    if ((root.flags & FLAG_TIMER) !== 0 || (toClient && !wanted)) {
      this.checkDraft(ptr, len, true);
      return;
    }
    const extensions = this.replyExtensions();
    const receiver = root.envelope.subarray(parts.sender, parts.receiver);
    const hash = toClient ? 0 : hashAddress(receiver, 0, receiver.length);
    const at = this.writeMessage(
      EFFECT_REPLY,
      EFFECT_SEND_HEADER_BYTES,
      this.checkDraft(ptr, len, true),
      receiver,
      hash,
      extensions,
    );
    const envelope = at + EFFECT_SEND_HEADER_BYTES;
    const { view } = this.ring;
    const flags = (wanted ? FLAG_REPLY : 0) | (toClient ? FLAG_CLIENT : 0);
    view.setUint16(envelope + AT_FLAGS, flags, true);
    if (wanted && !toClient) {
      const correlation = root.envelope.readBigUInt64LE(AT_CORRELATION);
      view.setBigUint64(envelope + AT_CORRELATION, correlation, true);
    }
  }

  private replyExtensions(): Buffer {
    const { envelope } = this.root;
    const parts = envelopeParts(envelope, 0);
    const find = (tag: number) => findExtension(envelope, parts.extensions, parts.content, tag);
    const inReplyTo = find(TAG_REPLY_WITH) ?? envelope.subarray(parts.id, parts.sender);
    const conversation = find(TAG_CONVERSATION_ID);
    const added = [extension(TAG_IN_REPLY_TO, inReplyTo)];
    if (conversation !== undefined) added.push(extension(TAG_CONVERSATION_ID, conversation));
    return Buffer.concat(added);
  }

  /** Checks a draft's form; returns its checked start. */
  private checkDraft(ptr: number, len: number, isReply: boolean): number {
    const start = this.range(ptr, len, isReply ? "reply" : "send");
    const length = len >>> 0;
    const bytes = this.memory.bytes;
    if (length < DRAFT_HEADER_BYTES)
      trap("HOST_CALL_INVALID", "the draft is shorter than its header");
    const receiverBytes = bytes[start + 4]! | (bytes[start + 5]! << 8);
    const extensionBytes = bytes.readUInt32LE(start + 8);
    const contentBytes = bytes.readUInt32LE(start + 12);
    if (DRAFT_HEADER_BYTES + receiverBytes + extensionBytes + contentBytes !== length) {
      trap("HOST_CALL_INVALID", "the draft's length is not the sum of its parts");
    }
    if (receiverBytes > ADDRESS_BYTES_MAX || (isReply && receiverBytes !== 0)) {
      trap("INVALID_ADDRESS", "the draft's receiver is too long, or stands in a reply");
    }
    const extensionsAt = start + DRAFT_HEADER_BYTES + receiverBytes;
    if (
      extensionBytes !== 0 &&
      !extensionsAreValid(bytes, extensionsAt, extensionsAt + extensionBytes)
    ) {
      trap("HOST_CALL_INVALID", "the draft's extensions are malformed");
    }
    const max = this.environment.manifest.limits.messageBytesMax;
    if (length > max) {
      trap("MESSAGE_TOO_LARGE", `a message of ${String(length)} bytes passes ${String(max)}`);
    }
    return start;
  }

  private sendDraft(
    kind: number,
    headerBytes: number,
    ptr: number,
    len: number,
    extensions: Buffer,
  ): number {
    const start = this.checkDraft(ptr, len, false);
    const bytes = this.memory.bytes;
    const receiverBytes = bytes[start + 4]! | (bytes[start + 5]! << 8);
    const hash = hashAddress(bytes, start + DRAFT_HEADER_BYTES, receiverBytes);
    if (hash < 0) {
      const at = start + DRAFT_HEADER_BYTES;
      const shown = bytes.toString("utf8", at, at + Math.min(receiverBytes, 120));
      trap("INVALID_ADDRESS", `"${shown}" is not an address`);
    }
    return this.writeMessage(kind, headerBytes, start, undefined, hash, extensions);
  }

  /** Composes the whole envelope in the ring; flags and correlation are zero. Returns the entry's offset. */
  private writeMessage(
    kind: number,
    headerBytes: number,
    draft: number,
    receiver: Buffer | undefined,
    hash: number,
    added: Buffer,
  ): number {
    const { ring, actor } = this;
    const bytes = this.memory.bytes;
    const draftReceiver = bytes[draft + 4]! | (bytes[draft + 5]! << 8);
    const draftExtensions = bytes.readUInt32LE(draft + 8);
    const contentBytes = bytes.readUInt32LE(draft + 12);
    const receiverBytes = receiver === undefined ? draftReceiver : receiver.length;
    const sender = actor.addressBytes;
    const bodyBytes = draftExtensions + contentBytes;
    const total =
      ENVELOPE_HEADER_BYTES +
      MESSAGE_NUMBER_BYTES +
      sender.length +
      receiverBytes +
      added.length +
      bodyBytes;
    const entry = this.reserve(kind, 0, hash, headerBytes + total);
    let at = entry + headerBytes;
    const { view, bytes: out } = ring;
    view.setUint32(at, total, true);
    view.setUint32(at + AT_FLAGS, (bytes[draft + 2]! | (bytes[draft + 3]! << 8)) << 16, true);
    view.setUint32(at + AT_ID_BYTES, MESSAGE_NUMBER_BYTES | (sender.length << 16), true);
    view.setUint32(at + 12, receiverBytes, true);
    view.setUint32(at + AT_EXTENSION_BYTES, draftExtensions + added.length, true);
    view.setUint32(at + AT_CONTENT_BYTES, contentBytes, true);
    view.setUint32(at + AT_CORRELATION, 0, true);
    view.setUint32(at + AT_CORRELATION + 4, 0, true);
    at += ENVELOPE_HEADER_BYTES;
    writeMessageId(out, at, this.idPrefix, this.sendNo++);
    at += MESSAGE_NUMBER_BYTES;
    for (let i = 0; i < sender.length; i++) out[at + i] = sender[i]!;
    at += sender.length;
    const body = draft + DRAFT_HEADER_BYTES;
    if (receiver === undefined && added.length === 0) {
      bytes.copy(out, at, body, body + receiverBytes + bodyBytes);
      return entry;
    }
    if (receiver === undefined) bytes.copy(out, at, body, body + receiverBytes);
    else receiver.copy(out, at);
    at += receiverBytes;
    bytes.copy(out, at, body + draftReceiver, body + draftReceiver + draftExtensions);
    at += draftExtensions;
    added.copy(out, at);
    at += added.length;
    const content = body + draftReceiver + draftExtensions;
    bytes.copy(out, at, content, content + contentBytes);
    return entry;
  }

  private key(ptr: number, len: number, what: string): string {
    const start = this.range(ptr, len, what);
    const length = len >>> 0;
    if (length === 0 || length > KEY_BYTES_MAX) {
      trap("HOST_CALL_INVALID", `${what}: a key has 1 to ${String(KEY_BYTES_MAX)} bytes`);
    }
    return this.memory.bytes.toString("latin1", start, start + length);
  }

  private stateValue(key: string): Buffer | undefined {
    if (this.replayState !== undefined) return this.replayState.get(key);
    const draft = this.actor.stateDraft?.get(key);
    if (draft !== undefined) return draft ?? undefined;
    return this.actor.state.get(key);
  }

  /** Copies a value to the guest when it fits; returns its length. */
  private give(value: Uint8Array | undefined, buf: number, bufLen: number, what: string): number {
    if (value === undefined) return -1;
    const start = this.range(buf, bufLen, what);
    if (value.length <= bufLen >>> 0) this.memory.bytes.set(value, start);
    return value.length;
  }

  stateGet(key: number, keyLen: number, buf: number, bufLen: number): number {
    return this.give(this.stateValue(this.key(key, keyLen, "state_get")), buf, bufLen, "state_get");
  }

  statePut(key: number, keyLen: number, value: number, valueLen: number): void {
    const name = this.key(key, keyLen, "state_put");
    const start = this.range(value, valueLen, "state_put");
    const length = valueLen >>> 0;
    const bytes = Buffer.from(this.memory.bytes.subarray(start, start + length) as Uint8Array);
    this.draftState(name, bytes);
    const at = this.reserve(
      EFFECT_STATE_PUT,
      name.length,
      length,
      EFFECT_KEYED_HEADER_BYTES + name.length + length,
    );
    const out = this.ring.bytes;
    out.write(name, at + EFFECT_KEYED_HEADER_BYTES, "latin1");
    bytes.copy(out, at + EFFECT_KEYED_HEADER_BYTES + name.length);
  }

  stateDelete(key: number, keyLen: number): void {
    const name = this.key(key, keyLen, "state_delete");
    this.draftState(name, null);
    const at = this.reserve(
      EFFECT_STATE_DELETE,
      name.length,
      0,
      EFFECT_KEYED_HEADER_BYTES + name.length,
    );
    this.ring.bytes.write(name, at + EFFECT_KEYED_HEADER_BYTES, "latin1");
  }

  private draftState(key: string, value: Buffer | null): void {
    const { actor, replayState } = this;
    if (replayState !== undefined) {
      if (value === null) replayState.delete(key);
      else replayState.set(key, value);
      return;
    }
    const before = this.stateValue(key);
    const size = (bytes: Buffer | null | undefined): number =>
      bytes === null || bytes === undefined ? 0 : key.length + bytes.length;
    const draftBytes = actor.stateDraftBytes + size(value) - size(before);
    const max = this.environment.manifest.limits.stateBytesMax;
    if (value !== null && actor.stateBytes + draftBytes > max) {
      trap("STATE_TOO_LARGE", `the actor's state would pass ${String(max)} bytes`);
    }
    actor.stateDraft ??= new Map();
    actor.stateDraft.set(key, value);
    actor.stateDraftBytes = draftBytes;
  }

  stateList(prefix: number, prefixLen: number, buf: number, bufLen: number): number {
    const start = this.range(prefix, prefixLen, "state_list");
    const text = this.memory.bytes.toString("latin1", start, start + (prefixLen >>> 0));
    const keys = new Set<string>();
    for (const key of (this.replayState ?? this.actor.state).keys())
      if (key.startsWith(text)) keys.add(key);
    for (const [key, value] of this.actor.stateDraft ?? []) {
      if (!key.startsWith(text)) continue;
      if (value === null) keys.delete(key);
      else keys.add(key);
    }
    const parts = [...keys].sort().map((key) => {
      const part = Buffer.allocUnsafe(2 + key.length);
      part.writeUInt16LE(key.length, 0);
      part.write(key, 2, "latin1");
      return part;
    });
    return this.give(Buffer.concat(parts), buf, bufLen, "state_list");
  }

  emit(topic: number, topicLen: number, ptr: number, len: number): void {
    const name = this.key(topic, topicLen, "emit");
    const start = this.range(ptr, len, "emit");
    const length = len >>> 0;
    const bytes = EFFECT_KEYED_HEADER_BYTES + name.length + length;
    const at = this.reserve(EFFECT_EMIT, name.length, length, bytes);
    this.ring.bytes.write(name, at + EFFECT_KEYED_HEADER_BYTES, "latin1");
    const body = at + EFFECT_KEYED_HEADER_BYTES + name.length;
    this.memory.bytes.copy(this.ring.bytes, body, start, start + length);
  }

  timerSet(id: bigint, delayMs: number, ptr: number, len: number): void {
    const start = this.range(ptr, len, "timer_set");
    const length = len >>> 0;
    const { limits } = this.environment.manifest;
    if (length > limits.messageBytesMax) {
      trap("MESSAGE_TOO_LARGE", `a timer's ${String(length)} bytes pass the limit`);
    }
    if (this.replayState === undefined && this.actor.timers >= limits.timersMax) {
      trap("OVERLOADED", `the actor has ${String(limits.timersMax)} timers already`);
    }
    const at = this.reserve(EFFECT_TIMER_SET, 0, length, EFFECT_TIMER_HEADER_BYTES + length);
    this.ring.view.setBigUint64(at + EFFECT_TIMER_AT_ID, BigInt.asUintN(64, id), true);
    this.ring.view.setFloat64(at + EFFECT_TIMER_AT_DUE, this.nowMs + (delayMs >>> 0), true);
    this.memory.bytes.copy(this.ring.bytes, at + EFFECT_TIMER_HEADER_BYTES, start, start + length);
  }

  timerCancel(id: bigint): void {
    const at = this.reserve(EFFECT_TIMER_CANCEL, 0, 0, EFFECT_TIMER_AT_ID + 8);
    this.ring.view.setBigUint64(at + EFFECT_TIMER_AT_ID, BigInt.asUintN(64, id), true);
  }

  log(level: number, ptr: number, len: number): void {
    const start = this.range(ptr, len, "log");
    if (this.replayState !== undefined || this.logLinesLeft === 0) return;
    this.logLinesLeft--;
    const end = start + Math.min(len >>> 0, LOG_BYTES_MAX);
    const text = this.memory.bytes.toString("utf8", start, end);
    this.logs.push({ actor: this.actor, level: level & 3, text, turn: this.turnIndex });
  }

  fail(ptr: number, len: number): never {
    const start = this.range(ptr, len, "fail");
    const end = start + Math.min(len >>> 0, LOG_BYTES_MAX);
    trap("AGENT_FAILED", this.memory.bytes.toString("utf8", start, end));
  }

  config(key: number, keyLen: number, buf: number, bufLen: number): number {
    const start = this.range(key, keyLen, "config_get");
    const name = this.memory.bytes.toString("utf8", start, start + (keyLen >>> 0));
    const { config } = this.environment.manifest;
    const value = Object.hasOwn(config, name) ? config[name] : undefined;
    return this.give(
      value === undefined ? undefined : Buffer.from(value),
      buf,
      bufLen,
      "config_get",
    );
  }

  flag(key: number, keyLen: number): number {
    const start = this.range(key, keyLen, "flag_get");
    const name = this.memory.bytes.toString("utf8", start, start + (keyLen >>> 0));
    const { flags } = this.environment.manifest;
    if (!Object.hasOwn(flags, name)) return -1;
    return flags[name] === true ? 1 : 0;
  }

  self(buf: number, bufLen: number): number {
    return this.give(this.actor.addressBytes, buf, bufLen, "self");
  }
}

/** The module `caxton` as an import object; every instance of a worker shares it. */
export function caxtonImports(turn: TurnContext): Record<string, (...args: never[]) => unknown> {
  return {
    send: (ptr: number, len: number) => {
      turn.send(ptr, len);
    },
    ask: (ptr: number, len: number, timeoutMs: number) => turn.ask(ptr, len, timeoutMs),
    reply: (ptr: number, len: number) => {
      turn.reply(ptr, len);
    },
    fail: (ptr: number, len: number) => turn.fail(ptr, len),
    state_get: (k: number, kl: number, b: number, bl: number) => turn.stateGet(k, kl, b, bl),
    state_put: (k: number, kl: number, v: number, vl: number) => {
      turn.statePut(k, kl, v, vl);
    },
    state_delete: (k: number, kl: number) => {
      turn.stateDelete(k, kl);
    },
    state_list: (p: number, pl: number, b: number, bl: number) => turn.stateList(p, pl, b, bl),
    emit: (t: number, tl: number, p: number, l: number) => {
      turn.emit(t, tl, p, l);
    },
    timer_set: (id: bigint, delayMs: number, p: number, l: number) => {
      turn.timerSet(id, delayMs, p, l);
    },
    timer_cancel: (id: bigint) => {
      turn.timerCancel(id);
    },
    log: (level: number, p: number, l: number) => {
      turn.log(level, p, l);
    },
    now: () => turn.nowMs,
    random: () => turn.random.nextFloat(),
    config_get: (k: number, kl: number, b: number, bl: number) => turn.config(k, kl, b, bl),
    flag_get: (k: number, kl: number) => turn.flag(k, kl),
    self: (b: number, bl: number) => turn.self(b, bl),
  };
}
