/**
 * What to do after an append, until it is decided. Owns nothing; the caller does the IO.
 *
 * 1. A frame is resent byte-identical, never changed.
 * 2. Only a frame of a higher epoch fences; a refusal alone proves nothing.
 * 3. An epoch frame is sent once: it is appended wherever the log ends, so nothing would keep a second copy out. Unless it is
 *    known to be where it says, the partition is contended, and its log is read again.
 */
import { readFrameHeader } from "../storage/frame-codec.ts";
import type { FrameHeader } from "../storage/frame-codec.ts";
import type { AppendOutcome, LogRecord } from "../storage/index.ts";

export interface SentFrame {
  readonly expectedSequence: number | null;
  readonly frame: Uint8Array;
}

export type AppendDecision =
  | { readonly kind: "durable"; readonly sequence: number }
  | { readonly kind: "resend"; readonly expectedSequence: number }
  /** Read the partition's log from here at its authoritative copy, then ask `decideFromLog`. */
  | { readonly kind: "read"; readonly fromSequence: number }
  | { readonly kind: "fenced"; readonly epoch: number }
  /** Of an epoch frame: another node has written, or may have. Recover the partition anew. */
  | { readonly kind: "contended" };

export function decideAppend(sent: SentFrame, outcome: AppendOutcome): AppendDecision {
  const { expectedSequence: expected } = sent;
  if (expected === null) return decideOpening(sent.frame, outcome);
  switch (outcome.kind) {
    case "acked":
      return { kind: "durable", sequence: outcome.sequence };
    case "unknown":
      return { kind: "resend", expectedSequence: expected };
    case "refused": {
      // A copy that is behind what was acknowledged already knows nothing.
      if (outcome.lastSequence < expected) {
        return { kind: "resend", expectedSequence: expected };
      }
      return { kind: "read", fromSequence: expected + 1 };
    }
  }
}

/** It acts only at the place it names: what it was sealed upon is then all there was before it. */
function decideOpening(frame: Uint8Array, outcome: AppendOutcome): AppendDecision {
  const { frameNo } = headerOf(frame);
  if (outcome.kind !== "acked" || outcome.sequence !== frameNo) return { kind: "contended" };
  return { kind: "durable", sequence: frameNo };
}

/** `records` are all frames of the partition from the sequence that was asked for. */
export function decideFromLog(
  frame: Uint8Array,
  expectedSequence: number,
  records: readonly LogRecord[],
): AppendDecision {
  const own = headerOf(frame);
  let newest = expectedSequence;
  for (const { sequence, frame: other } of records) {
    const found = headerOf(other);
    if (isSame(own, found)) return { kind: "durable", sequence };
    if (found.epoch > own.epoch) return { kind: "fenced", epoch: found.epoch };
    newest = sequence;
  }
  return { kind: "resend", expectedSequence: newest };
}

function headerOf(frame: Uint8Array): FrameHeader {
  return readFrameHeader(Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength));
}

function isSame(a: FrameHeader, b: FrameHeader): boolean {
  return a.epoch === b.epoch && a.incarnation === b.incarnation && a.frameNo === b.frameNo;
}
