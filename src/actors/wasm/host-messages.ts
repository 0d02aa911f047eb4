/** Host calls that send: a draft in the guest's memory becomes a whole envelope in the ring. */
import { ADDRESS_BYTES_MAX, hashAddress } from "../address.ts";
import {
  EFFECT_ASK,
  EFFECT_ASK_AT_DEADLINE,
  EFFECT_ASK_HEADER_BYTES,
  EFFECT_REPLY,
  EFFECT_SEND,
  EFFECT_SEND_HEADER_BYTES,
} from "./effects.ts";
import {
  AT_CONTENT_BYTES,
  AT_CORRELATION,
  AT_EXTENSION_BYTES,
  AT_FLAGS,
  AT_ID_BYTES,
  AT_RECEIVER_BYTES,
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
import { traceparentIn } from "./message-trace.ts";
import { trap } from "./turn-context.ts";
import type { TurnContext } from "./turn-context.ts";

const ASK_TIMEOUT_DEFAULT_MS = 30_000;
const NO_BYTES = Buffer.alloc(0);

export class HostMessages {
  private readonly turn: TurnContext;

  constructor(turn: TurnContext) {
    this.turn = turn;
  }

  send(bytes: Buffer, start: number, length: number): void {
    this.turn.requireMessage("send");
    this.sendDraft(EFFECT_SEND, EFFECT_SEND_HEADER_BYTES, bytes, start, length, NO_BYTES);
  }

  ask(bytes: Buffer, start: number, length: number, timeoutMs: number): bigint {
    const { turn } = this;
    turn.requireMessage("ask");
    const { limits } = turn.environment.manifest;
    const { actor } = turn;
    if (turn.replayState === undefined && actor.asks + actor.asksDraft++ >= limits.asksPendingMax) {
      trap("OVERLOADED", `the actor waits for ${String(limits.asksPendingMax)} replies already`);
    }
    const number = turn.sendNo;
    const at = this.sendDraft(
      EFFECT_ASK,
      EFFECT_ASK_HEADER_BYTES,
      bytes,
      start,
      length,
      this.chain(),
    );
    const { view } = turn.ring;
    const wait = timeoutMs >>> 0 || ASK_TIMEOUT_DEFAULT_MS;
    view.setFloat64(at + EFFECT_ASK_AT_DEADLINE, turn.nowMs + wait, true);
    const envelope = at + EFFECT_ASK_HEADER_BYTES;
    view.setUint16(envelope + AT_FLAGS, FLAG_WANTS_REPLY, true);
    view.setBigUint64(envelope + AT_CORRELATION, BigInt(number), true);
    return BigInt(number);
  }

  /** The open handlers this ask stands under, itself included: (address, seq) each. */
  private chain(): Buffer {
    const { turn } = this;
    const { root, actor } = this.turn;
    const parts = envelopeParts(root.envelope, 0);
    const before = findExtension(root.envelope, parts.extensions, parts.content, TAG_CHAIN);
    const own = Buffer.allocUnsafe(10 + actor.addressBytes.length);
    own.writeDoubleLE(root.seq, 0);
    own.writeUInt16LE(actor.addressBytes.length, 8);
    own.set(actor.addressBytes, 10);
    const chain = before === undefined ? own : Buffer.concat([before, own]);
    let links = 0;
    for (let at = 0; at < chain.length; at += 10 + chain.readUInt16LE(at + 8)) links++;
    // The limit is the node's and may have changed since the turn that is replayed.
    if (turn.replayState === undefined && links > turn.askChainMax) {
      trap("ASK_CHAIN_TOO_LONG", `${String(links)} asks wait for each other`);
    }
    return extension(TAG_CHAIN, chain);
  }

  reply(bytes: Buffer, start: number, length: number): void {
    const { turn } = this;
    turn.requireMessage("reply");
    if (turn.replied) trap("HOST_CALL_INVALID", "reply: this handler has replied already");
    turn.replied = true;
    this.checkDraft(bytes, start, length, true);
    const { root } = this.turn;
    const toClient = (root.flags & FLAG_CLIENT) !== 0;
    const wanted = (root.flags & FLAG_WANTS_REPLY) !== 0;
    const parts = envelopeParts(root.envelope, 0);
    if ((root.flags & FLAG_TIMER) !== 0 || (toClient && !wanted)) return;
    const added = this.replyExtensions();
    const extensions = toClient ? added : this.withTrace(added, bytes, start);
    const receiver = root.envelope.subarray(parts.sender, parts.receiver);
    const hash = toClient ? 0 : hashAddress(receiver, 0, receiver.length);
    const at = this.writeMessage(
      EFFECT_REPLY,
      EFFECT_SEND_HEADER_BYTES,
      bytes,
      start,
      receiver,
      hash,
      extensions,
    );
    const envelope = at + EFFECT_SEND_HEADER_BYTES;
    const { view } = turn.ring;
    const flags = (wanted ? FLAG_REPLY : 0) | (toClient ? FLAG_CLIENT : 0);
    view.setUint16(envelope + AT_FLAGS, flags, true);
    if (wanted && !toClient) {
      const correlation = root.envelope.readBigUInt64LE(AT_CORRELATION);
      view.setBigUint64(envelope + AT_CORRELATION, correlation, true);
    }
  }

  private replyExtensions(): Buffer {
    const { turn } = this;
    const { envelope } = turn.root;
    const parts = envelopeParts(envelope, 0);
    const find = (tag: number) => findExtension(envelope, parts.extensions, parts.content, tag);
    const inReplyTo = find(TAG_REPLY_WITH) ?? envelope.subarray(parts.id, parts.sender);
    const conversation = find(TAG_CONVERSATION_ID);
    const added = [extension(TAG_IN_REPLY_TO, inReplyTo)];
    if (conversation !== undefined) added.push(extension(TAG_CONVERSATION_ID, conversation));
    return Buffer.concat(added);
  }

  /** Checks a draft's form. */
  private checkDraft(bytes: Buffer, start: number, length: number, isReply: boolean): void {
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
    const max = this.turn.environment.manifest.limits.messageBytesMax;
    if (length > max) {
      trap("MESSAGE_TOO_LARGE", `a message of ${String(length)} bytes passes ${String(max)}`);
    }
  }

  private sendDraft(
    kind: number,
    headerBytes: number,
    bytes: Buffer,
    start: number,
    length: number,
    extensions: Buffer,
  ): number {
    const { turn } = this;
    this.checkDraft(bytes, start, length, false);
    const receiverBytes = bytes[start + 4]! | (bytes[start + 5]! << 8);
    const hash = hashAddress(bytes, start + DRAFT_HEADER_BYTES, receiverBytes);
    if (hash < 0) {
      const at = start + DRAFT_HEADER_BYTES;
      const shown = bytes.toString("utf8", at, at + Math.min(receiverBytes, 120));
      trap("INVALID_ADDRESS", `"${shown}" is not an address`);
    }
    if (turn.replayState === undefined) this.checkCredit(hash);
    const added = this.withTrace(extensions, bytes, start);
    return this.writeMessage(kind, headerBytes, bytes, start, undefined, hash, added);
  }

  /** With the turn's trace, unless it has none or the agent says another one itself. */
  private withTrace(added: Buffer, bytes: Buffer, draft: number): Buffer {
    const { trace } = this.turn;
    if (trace === null) return added;
    const from = draft + DRAFT_HEADER_BYTES + (bytes[draft + 4]! | (bytes[draft + 5]! << 8));
    const own = traceparentIn(bytes, from, from + bytes.readUInt32LE(draft + 8));
    return own === undefined ? Buffer.concat([added, trace]) : added;
  }

  /** An agent that floods is stopped at its source: the turn fails and is retried with back-off. */
  private checkCredit(hash: number): void {
    const { actor } = this.turn;
    const { limits } = this.turn.environment.manifest;
    if (actor.agent.pendingBytes > limits.mailboxBytesMax) {
      const bytes = String(actor.agent.pendingBytes);
      trap("QUOTA_EXHAUSTED", `${actor.agent.name} holds ${bytes} unhandled bytes here`);
    }
    if (hash === actor.hash && actor.inbox.length >= limits.mailboxMessagesMax) {
      trap("MAILBOX_FULL", "the actor sends to itself, and its mailbox is full");
    }
  }

  /** Composes the whole envelope in the ring; flags and correlation are zero. Returns the entry's offset. */
  private writeMessage(
    kind: number,
    headerBytes: number,
    bytes: Buffer,
    draft: number,
    receiver: Buffer | undefined,
    hash: number,
    added: Buffer,
  ): number {
    const { turn } = this;
    const { ring, actor } = this.turn;
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
    const entry = turn.reserve(kind, 0, hash, headerBytes + total);
    let at = entry + headerBytes;
    const { view, bytes: out } = ring;
    view.setUint32(at, total, true);
    view.setUint32(at + AT_FLAGS, (bytes[draft + 2]! | (bytes[draft + 3]! << 8)) << 16, true);
    view.setUint32(at + AT_ID_BYTES, MESSAGE_NUMBER_BYTES | (sender.length << 16), true);
    view.setUint32(at + AT_RECEIVER_BYTES, receiverBytes, true);
    view.setUint32(at + AT_EXTENSION_BYTES, draftExtensions + added.length, true);
    view.setUint32(at + AT_CONTENT_BYTES, contentBytes, true);
    view.setUint32(at + AT_CORRELATION, 0, true);
    view.setUint32(at + AT_CORRELATION + 4, 0, true);
    at += ENVELOPE_HEADER_BYTES;
    writeMessageId(out, at, turn.idPrefix, turn.sendNo++);
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
}
