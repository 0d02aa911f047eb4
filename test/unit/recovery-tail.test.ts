import { describe, expect, test } from "vitest";
import { RecoveryTail } from "../../src/actors/recovery-tail.ts";
import { FrameWriter } from "../../src/storage/frame-codec.ts";
import type { LogRecord } from "../../src/storage/index.ts";

function record(sequence: number, checkpointFrameNo: number, frameNo = sequence): LogRecord {
  const writer = new FrameWriter(4096);
  writer.intent(1, frameNo);
  const fixed = { flags: 0, partition: 3, epoch: 2, incarnation: 1, previousCrc: 0, timeMs: 1 };
  return { sequence, frame: writer.seal({ ...fixed, frameNo, checkpointFrameNo }).frame };
}

describe("the frames behind a checkpoint, while another owner may still write", () => {
  test("follow one another, and name the checkpoint that recovery began with", () => {
    const tail = new RecoveryTail(5, 6);
    const records = [record(5, 2), record(6, 6), record(7, 6)];
    expect(records.map((each) => tail.take(each))).toEqual(["follows", "follows", "follows"]);
  });

  test("that were trimmed meanwhile leave a hole", () => {
    const tail = new RecoveryTail(5, 6);
    expect(tail.take(record(7, 6))).toBe("hole");
  });

  test("may name another checkpoint: what the one before needs is about to go", () => {
    const tail = new RecoveryTail(5, 6);
    expect(tail.take(record(5, 2))).toBe("follows");
    expect(tail.take(record(6, 6))).toBe("follows");
    expect(tail.take(record(7, 7))).toBe("checkpoint");
    expect(new RecoveryTail(1, 0).take(record(1, 1))).toBe("checkpoint");
  });

  test("name nothing when they do not act", () => {
    const tail = new RecoveryTail(5, 3);
    expect(tail.take(record(5, 4, 4))).toBe("follows");
  });
});
