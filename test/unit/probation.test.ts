import { beforeEach, describe, expect, test } from "vitest";
import type { Actor } from "../../src/actors/partition/actor.ts";
import { FramePipeline } from "../../src/actors/partition/frame-pipeline.ts";
import type { PendingMessage } from "../../src/actors/partition/message.ts";
import { Probation } from "../../src/actors/partition/probation.ts";
import type { PartitionProcessor } from "../../src/actors/partition/processor.ts";
import { readFrameHeader } from "../../src/storage/frame-codec.ts";
import { visitEntries } from "../../src/storage/frame-entries.ts";
import type { EntryVisitor } from "../../src/storage/frame-entries.ts";

let frames: FramePipeline;
let probation: Probation;
let actor: { phase: { kind: string }; agent: { suspended: string | undefined } };
let message: PendingMessage;

/** Seals what there is and makes it durable; returns the intents it has. */
function commit(): string[] {
  const sealed = frames.seal();
  if (sealed === undefined) return [];
  const intents: string[] = [];
  const visitor = { intent: (seq: number, n: number) => intents.push(`${seq} ${n}`) };
  const frame = Buffer.from(sealed.frame);
  visitEntries(frame, readFrameHeader(frame), visitor as unknown as EntryVisitor);
  frames.committed(sealed.frameNo);
  return intents;
}

beforeEach(() => {
  const identity = { id: 0, partitions: 1, incarnation: 1 };
  frames = new FramePipeline(identity, { lastFrameNo: 0, lastCrc: 0, epoch: 0 }, 0, 4096, () => 0);
  frames.committed(frames.sealEpochOnce()!.frameNo);
  const processor = { id: 0, frames, turns: { wake: () => undefined }, nowMs: () => 0 };
  const lock = { tryAcquire: () => true, release: () => undefined };
  probation = new Probation(processor as unknown as PartitionProcessor, lock);
  actor = { phase: { kind: "idle" }, agent: { suspended: undefined } };
  const pending = { seq: 8, intents: 0, attempts: 0, consumed: false, probation: true };
  message = pending as unknown as PendingMessage;
});

function isCleared(): boolean {
  return probation.isCleared(actor as unknown as Actor, message);
}

function suspend(): void {
  actor.agent.suspended = "an operator wants it so";
  probation.review();
}

describe("a message that may have ended the process", () => {
  test("runs behind an intent, which is withdrawn when it may not run", () => {
    expect(isCleared()).toBe(false);
    expect(commit()).toEqual(["8 1"]);
    expect(isCleared()).toBe(true);
    suspend();
    expect(commit()).toEqual(["8 0"]);
    expect(message.intents).toBe(0);
  });

  test.each([
    ["done", { consumed: true, intents: 1 }],
    ["failed", { consumed: false, intents: 0 }],
  ] as const)(
    "keeps its intent when it has run, and its result waits for room: %s",
    (_what, result) => {
      isCleared();
      commit();
      frames.writer.intent(99, 1);
      frames.whenRoom(frames.writer.entriesBytesMax, () => {
        message.consumed = result.consumed;
        message.intents = result.intents;
        probation.hasResult(message);
      });
      // Another message of the same batch failed too often.
      suspend();
      expect(commit()).toEqual(["99 1"]);
      expect(commit()).toEqual([]);
      expect(message.intents).toBe(result.intents);
    },
  );

  test("gets no intent when it was ended by what waited for room before", () => {
    frames.writer.intent(99, 1);
    frames.whenRoom(frames.writer.entriesBytesMax, () => {
      message.consumed = true;
    });
    expect(isCleared()).toBe(false);
    expect(commit()).toEqual(["99 1"]);
    expect(commit()).toEqual([]);
  });
});
