/** The messages a committed frame brought to its partition, for subscribers and histories. */
import { readFrameHeader } from "../storage/frame-codec.ts";
import { IGNORED_ENTRIES, visitEntries } from "../storage/frame-entries.ts";
import type { EntryVisitor } from "../storage/frame-entries.ts";
import { hashAddress, partitionOf } from "./address.ts";
import { sentMessageAt } from "./wasm/effects.ts";
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
    if (arrivesHere(bytes, offset, partition, partitions)) add(bytes, offset);
  };
  const visitor: EntryVisitor = {
    ...IGNORED_ENTRIES,
    accepted: (_flags, _source, _incarnation, _n, bytes, offset) => {
      add(bytes, offset);
    },
    turn: (_turn, bytes, from, to) => {
      for (let at = from; at < to; at += bytes.readUInt32LE(at)) {
        const message = sentMessageAt(bytes, at);
        if (message !== undefined) addLocal(bytes, message);
      }
    },
    systemSend: (_sendNo, bytes, offset) => {
      addLocal(bytes, offset);
    },
  };
  visitEntries(frame, readFrameHeader(frame), visitor);
  return found;
}

/** Whether a message that a partition sends has reached its receiver when it is durable there. */
export function arrivesHere(
  bytes: Buffer,
  offset: number,
  partition: number,
  partitions: number,
): boolean {
  if ((envelopeFlags(bytes, offset) & FLAG_CLIENT) !== 0) return true;
  const { receiver, extensions } = envelopeParts(bytes, offset);
  return partitionOf(hashAddress(bytes, receiver, extensions - receiver), partitions) === partition;
}
