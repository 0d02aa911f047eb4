/** The trace that a message belongs to: its header `traceparent`, which its turn's sends carry on. */
import { formatTraceparent, parseTraceparent, type TraceContext } from "../../base/trace.ts";
import type { Handler } from "../partition/actor.ts";
import type { PendingMessage } from "../partition/message.ts";
import { TAG_HEADER, envelopeParts, extension } from "./envelope.ts";

const NAME = Buffer.from("traceparent\0");

/** The header's value among extensions. */
export function traceparentIn(bytes: Buffer, from: number, to: number): string | undefined {
  for (let at = from; at + 4 <= to;) {
    const end = at + 4 + bytes.readUInt16LE(at + 2);
    const value = at + 4 + NAME.length;
    if (bytes[at] === TAG_HEADER && value <= end && NAME.compare(bytes, at + 4, value) === 0) {
      return bytes.toString("latin1", value, end);
    }
    at = end;
  }
  return undefined;
}

/**
 * What a turn's message was sent in. A timer or a failure knows of none: its handler's first message does.
 */
export function traceOf(
  { bytes, offset }: Pick<PendingMessage, "bytes" | "offset">,
  handler: Handler | undefined,
): TraceContext | undefined {
  const traceparent =
    traceparentOf(bytes, offset) ??
    (handler === undefined ? undefined : traceparentOf(handler.root.envelope, 0));
  return traceparent === undefined ? undefined : parseTraceparent(traceparent);
}

function traceparentOf(bytes: Buffer, offset: number): string | undefined {
  const { extensions, content } = envelopeParts(bytes, offset);
  return traceparentIn(bytes, extensions, content);
}

/** What a turn's sends carry, as an extension. */
export function traceExtension(trace: TraceContext, spanId: string): Buffer {
  const value = Buffer.from(formatTraceparent({ ...trace, spanId }), "latin1");
  return extension(TAG_HEADER, Buffer.concat([NAME, value]));
}

/**
 * A turn's span id, made of what a replay sees as well: the id of its message, and its seed, because a
 * message that failed is tried again.
 */
export function turnSpanId(
  { bytes, offset }: Pick<PendingMessage, "bytes" | "offset">,
  seed: number,
): string {
  const { id, sender } = envelopeParts(bytes, offset);
  let high = seed | 0;
  let low = ~seed;
  for (let at = id; at < sender; at++) {
    high = Math.imul(high ^ bytes[at]!, 0x01000193);
    low = Math.imul(low ^ bytes[at]!, 0x85ebca6b);
    low ^= low >>> 13;
  }
  high = Math.imul(high ^ (high >>> 15), 0x2c1b3c6d) ^ low;
  // An id of zeros would be none.
  return hex(high | 1) + hex(low);
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, "0");
}
