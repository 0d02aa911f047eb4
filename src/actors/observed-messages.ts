/** The messages a committed frame brought to its partition, for subscribers. */
import { readFrameHeader } from "../storage/frame-codec.ts";
import { visitEntries } from "../storage/frame-entries.ts";
import type { EntryVisitor } from "../storage/frame-entries.ts";
import { hashAddress, partitionOf } from "./address.ts";
import {
  EFFECT_ASK,
  EFFECT_ASK_HEADER_BYTES,
  EFFECT_AT_KIND,
  EFFECT_REPLY,
  EFFECT_SEND,
  EFFECT_SEND_HEADER_BYTES,
} from "./wasm/effects.ts";
import { FLAG_CLIENT, envelopeFlags, envelopeParts } from "./wasm/envelope.ts";

/** Accepted messages, sends within the partition, and replies to clients. */
export function committedMessages(
  frame: Buffer,
  partition: number,
  partitions: number,
): { offset: number; length: number }[] {
  const found: { offset: number; length: number }[] = [];
  const add = (bytes: Buffer, offset: number): void => {
    found.push({ offset, length: bytes.readUInt32LE(offset) });
  };
  const addLocal = (bytes: Buffer, offset: number): void => {
    const parts = envelopeParts(bytes, offset);
    const toClient = (envelopeFlags(bytes, offset) & FLAG_CLIENT) !== 0;
    const hash = hashAddress(bytes, parts.receiver, parts.extensions - parts.receiver);
    if (toClient || partitionOf(hash, partitions) === partition) add(bytes, offset);
  };
  const visitor: EntryVisitor = {
    accepted: (_flags, _source, _incarnation, _n, bytes, offset) => {
      add(bytes, offset);
    },
    turn: (_turn, bytes, from, to) => {
      for (let at = from; at < to; at += bytes.readUInt32LE(at)) {
        const kind = bytes[at + EFFECT_AT_KIND];
        if (kind === EFFECT_SEND || kind === EFFECT_REPLY) {
          addLocal(bytes, at + EFFECT_SEND_HEADER_BYTES);
        } else if (kind === EFFECT_ASK) {
          addLocal(bytes, at + EFFECT_ASK_HEADER_BYTES);
        }
      }
    },
    systemSend: (_sendNo, bytes, offset) => {
      addLocal(bytes, offset);
    },
    turnFailed: () => undefined,
    deadLetter: () => undefined,
    intent: () => undefined,
    moved: () => undefined,
    checkpoint: () => undefined,
    upgrade: () => undefined,
    control: () => undefined,
  };
  visitEntries(frame, readFrameHeader(frame), visitor);
  return found;
}
