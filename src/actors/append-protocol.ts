/**
 * What to do after an append, until it is decided. Owns nothing; the caller does the IO.
 *
 * 1. A frame is resent byte-identical, never changed.
 * 2. Only a frame of a higher epoch fences; a refusal alone proves nothing.
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
  | { readonly kind: "resend"; readonly expectedSequence: number | null }
  /** Read the partition's log from here at its authoritative copy, then ask `decideFromLog`. */
  | { readonly kind: "read"; readonly fromSequence: number }
  | { readonly kind: "fenced"; readonly epoch: number };

export function decideAppend(sent: SentFrame, outcome: AppendOutcome): AppendDecision {
  switch (outcome.kind) {
    case "acked":
      return { kind: "durable", sequence: outcome.sequence };
    case "unknown":
      // Nothing would keep a second copy of an epoch frame out.
      if (sent.expectedSequence === null) {
        return { kind: "read", fromSequence: headerOf(sent.frame).frameNo };
      }
      return { kind: "resend", expectedSequence: sent.expectedSequence };
    case "refused": {
      const expected = sent.expectedSequence ?? 0;
      // A copy that is behind what was acknowledged already knows nothing.
      if (outcome.lastSequence < expected) {
        return { kind: "resend", expectedSequence: sent.expectedSequence };
      }
      return { kind: "read", fromSequence: expected + 1 };
    }
  }
}

/** `records` are all frames of the partition from the sequence that was asked for. */
export function decideFromLog(sent: SentFrame, records: readonly LogRecord[]): AppendDecision {
  const own = headerOf(sent.frame);
  let newest = sent.expectedSequence;
  for (const { sequence, frame } of records) {
    const found = headerOf(frame);
    if (isSame(own, found)) return { kind: "durable", sequence };
    if (found.epoch > own.epoch) return { kind: "fenced", epoch: found.epoch };
    if (newest !== null) newest = sequence;
  }
  return { kind: "resend", expectedSequence: newest };
}

function headerOf(frame: Uint8Array): FrameHeader {
  return readFrameHeader(Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength));
}

function isSame(a: FrameHeader, b: FrameHeader): boolean {
  return a.epoch === b.epoch && a.incarnation === b.incarnation && a.frameNo === b.frameNo;
}
