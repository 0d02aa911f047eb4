/** What the effects of a committed-to-be turn do to the partition's state, live and in recovery alike. */
import { copyOf } from "../../base/bytes.ts";
import { invariant } from "../../base/assert.ts";
import { hashAddress } from "../address.ts";
import {
  EFFECT_ASK,
  EFFECT_ASK_AT_DEADLINE,
  EFFECT_ASK_HEADER_BYTES,
  EFFECT_AT_KIND,
  EFFECT_AT_NUMBER,
  EFFECT_AT_SHORT,
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
} from "../wasm/effects.ts";
import { AT_CORRELATION, FLAG_CLIENT, envelopeFlags, envelopeParts } from "../wasm/envelope.ts";
import type { Actor, Handler } from "./actor.ts";
import type { PartitionState } from "./partition-state.ts";

/** Offset in an effect entry of the byte that says the send took no outbox number. */
export const EFFECT_AT_FLAGS = 5;
export const EFFECT_UNNUMBERED = 1;

/** Where sends go; live processing and recovery differ in nothing else. */
export interface SendRouter {
  /** `entry` is the effect's offset, `offset` and `length` those of the envelope. */
  route(bytes: Buffer, entry: number, offset: number, length: number, hash: number): void;
}

export interface AppliedEffects {
  readonly sends: number;
  readonly events: number;
}

/** `handler` is the one the turn belongs to; it learns whether it replied. */
export function applyEffects(
  state: PartitionState,
  actor: Actor,
  handler: Handler,
  bytes: Buffer,
  from: number,
  to: number,
  router: SendRouter,
): AppliedEffects {
  const { rootSeq } = handler;
  let sends = 0;
  let events = 0;
  for (let at = from; at < to; at += bytes.readUInt32LE(at)) {
    switch (bytes[at + EFFECT_AT_KIND]) {
      case EFFECT_SEND:
        sends++;
        routeSend(bytes, at, EFFECT_SEND_HEADER_BYTES, router);
        break;
      case EFFECT_ASK:
        sends++;
        applyAsk(state, actor, rootSeq, bytes, at);
        routeSend(bytes, at, EFFECT_ASK_HEADER_BYTES, router);
        break;
      case EFFECT_REPLY:
        sends++;
        handler.replied = true;
        applyReply(state, handler, bytes, at, router);
        break;
      case EFFECT_STATE_PUT:
      case EFFECT_STATE_DELETE:
        applyState(state, actor, bytes, at);
        break;
      case EFFECT_EMIT:
        events++;
        break;
      case EFFECT_TIMER_SET:
        applyTimer(state, actor, rootSeq, bytes, at);
        break;
      case EFFECT_TIMER_CANCEL:
        state.takeTimer(actor, bytes.readBigUInt64LE(at + EFFECT_TIMER_AT_ID));
        break;
      default:
        invariant(false, "an effect has a known kind");
    }
  }
  return { sends, events };
}

function routeSend(bytes: Buffer, at: number, header: number, router: SendRouter): void {
  const envelope = at + header;
  const hash = bytes.readUInt32LE(at + EFFECT_AT_NUMBER);
  router.route(bytes, at, envelope, bytes.readUInt32LE(envelope), hash);
}

function applyAsk(
  state: PartitionState,
  actor: Actor,
  rootSeq: number,
  bytes: Buffer,
  at: number,
): void {
  const envelope = at + EFFECT_ASK_HEADER_BYTES;
  const number = Number(bytes.readBigUInt64LE(envelope + AT_CORRELATION));
  state.addAsk(number, actor, rootSeq, bytes.readDoubleLE(at + EFFECT_ASK_AT_DEADLINE));
}

function applyReply(
  state: PartitionState,
  handler: Handler,
  bytes: Buffer,
  at: number,
  router: SendRouter,
): void {
  const envelope = at + EFFECT_SEND_HEADER_BYTES;
  if ((envelopeFlags(bytes, envelope) & FLAG_CLIENT) === 0) {
    routeSend(bytes, at, EFFECT_SEND_HEADER_BYTES, router);
    return;
  }
  const end = envelope + bytes.readUInt32LE(envelope);
  const copy = copyOf(bytes, envelope, end - envelope);
  state.completeClient(handler.root, { kind: "reply", envelope: copy });
}

function applyState(state: PartitionState, actor: Actor, bytes: Buffer, at: number): void {
  const keyAt = at + EFFECT_KEYED_HEADER_BYTES;
  const valueAt = keyAt + bytes.readUInt16LE(at + EFFECT_AT_SHORT);
  const key = bytes.toString("latin1", keyAt, valueAt);
  const isPut = bytes[at + EFFECT_AT_KIND] === EFFECT_STATE_PUT;
  const valueEnd = valueAt + bytes.readUInt32LE(at + EFFECT_AT_NUMBER);
  const value = isPut ? copyOf(bytes, valueAt, valueEnd - valueAt) : undefined;
  state.putState(actor, key, value);
}

function applyTimer(
  state: PartitionState,
  actor: Actor,
  rootSeq: number,
  bytes: Buffer,
  at: number,
): void {
  const payloadAt = at + EFFECT_TIMER_HEADER_BYTES;
  const payloadEnd = payloadAt + bytes.readUInt32LE(at + EFFECT_AT_NUMBER);
  state.setTimer({
    id: bytes.readBigUInt64LE(at + EFFECT_TIMER_AT_ID),
    actor,
    rootSeq,
    dueMs: bytes.readDoubleLE(at + EFFECT_TIMER_AT_DUE),
    payload: copyOf(bytes, payloadAt, payloadEnd - payloadAt),
  });
}

/** Hash of a message's receiver. */
export function receiverHash(bytes: Buffer, offset: number): number {
  const parts = envelopeParts(bytes, offset);
  return hashAddress(bytes, parts.receiver, parts.extensions - parts.receiver);
}
