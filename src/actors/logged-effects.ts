/** The effects of a logged turn as people read them. */
import type { TracedEffect, TracedEffectKind } from "./history.ts";
import {
  EFFECT_ASK,
  EFFECT_AT_KIND,
  EFFECT_AT_NUMBER,
  EFFECT_AT_SHORT,
  EFFECT_EMIT,
  EFFECT_KEYED_HEADER_BYTES,
  EFFECT_REPLY,
  EFFECT_SEND,
  EFFECT_STATE_DELETE,
  EFFECT_STATE_PUT,
  EFFECT_TIMER_AT_ID,
  EFFECT_TIMER_CANCEL,
  EFFECT_TIMER_SET,
  sentMessageAt,
} from "./wasm/effects.ts";
import { envelopeParts } from "./wasm/envelope.ts";

const KINDS: Readonly<Record<number, TracedEffectKind>> = {
  [EFFECT_SEND]: "send",
  [EFFECT_ASK]: "ask",
  [EFFECT_REPLY]: "reply",
  [EFFECT_STATE_PUT]: "state-put",
  [EFFECT_STATE_DELETE]: "state-delete",
  [EFFECT_EMIT]: "event",
  [EFFECT_TIMER_SET]: "timer-set",
  [EFFECT_TIMER_CANCEL]: "timer-cancel",
};

export function tracedEffect(bytes: Buffer, at: number): TracedEffect {
  const code = bytes[at + EFFECT_AT_KIND]!;
  const kind = KINDS[code]!;
  const message = sentMessageAt(bytes, at);
  if (message !== undefined) {
    const { id, sender, receiver, extensions, content, end } = envelopeParts(bytes, message);
    return {
      kind,
      name: bytes.toString("utf8", receiver, extensions),
      messageId: bytes.toString("utf8", id, sender),
      bytes: end - content,
    };
  }
  if (code === EFFECT_TIMER_SET || code === EFFECT_TIMER_CANCEL) {
    const name = String(bytes.readBigUInt64LE(at + EFFECT_TIMER_AT_ID));
    return { kind, name, bytes: bytes.readUInt32LE(at + EFFECT_AT_NUMBER) };
  }
  const { key, value } = keyedEffect(bytes, at);
  return { kind, name: key, bytes: value.length };
}

/** Key and value of a change of state, topic and content of an event. */
export function keyedEffect(bytes: Buffer, at: number): { key: string; value: Buffer } {
  const keyAt = at + EFFECT_KEYED_HEADER_BYTES;
  const valueAt = keyAt + bytes.readUInt16LE(at + EFFECT_AT_SHORT);
  const end = valueAt + bytes.readUInt32LE(at + EFFECT_AT_NUMBER);
  return { key: bytes.toString("utf8", keyAt, valueAt), value: bytes.subarray(valueAt, end) };
}
