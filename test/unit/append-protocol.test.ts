import { describe, expect, test } from "vitest";
import { decideAppend, decideFromLog } from "../../src/actors/append-protocol.ts";
import { LogAppender } from "../../src/actors/log-appender.ts";
import { createLog } from "../../src/base/log.ts";
import { FRAME_FLAG_EPOCH, FrameWriter } from "../../src/storage/frame-codec.ts";
import type { AppendOutcome, Log } from "../../src/storage/index.ts";

function frame(epoch: number, frameNo: number, incarnation = 1, flags = 0): Buffer {
  const writer = new FrameWriter(4096);
  writer.intent(epoch, frameNo);
  const fixed = { flags, partition: 3, previousCrc: 0, timeMs: 1, checkpointFrameNo: 0 };
  return Buffer.from(writer.seal({ ...fixed, epoch, incarnation, frameNo }).frame);
}

describe("after an append", () => {
  const sent = { expectedSequence: 4, frame: frame(2, 5) };

  test("an acknowledged frame is durable", () => {
    expect(decideAppend(sent, { kind: "acked", sequence: 5 })).toEqual({
      kind: "durable",
      sequence: 5,
    });
  });

  test("a refusal by a copy that is behind proves nothing", () => {
    expect(decideAppend(sent, { kind: "refused", lastSequence: 3 })).toEqual({
      kind: "resend",
      expectedSequence: 4,
    });
  });

  test("any other refusal is looked up in the log", () => {
    const read = { kind: "read", fromSequence: 5 };
    expect(decideAppend(sent, { kind: "refused", lastSequence: 4 })).toEqual(read);
    expect(decideAppend(sent, { kind: "refused", lastSequence: 9 })).toEqual(read);
  });

  test("an epoch frame of unknown fate is looked up before it is sent again", () => {
    const opening = { expectedSequence: null, frame: frame(2, 5, 1, FRAME_FLAG_EPOCH) };
    expect(decideAppend(opening, { kind: "unknown", cause: "timeout" })).toEqual({
      kind: "read",
      fromSequence: 5,
    });
    const older = [{ sequence: 5, frame: frame(1, 5) }];
    expect(decideFromLog(opening, older)).toEqual({ kind: "resend", expectedSequence: null });
  });
});

describe("what the log holds decides", () => {
  const sent = { expectedSequence: 4, frame: frame(2, 5) };

  test("a frame of a higher epoch fences", () => {
    const records = [
      { sequence: 5, frame: frame(1, 5) },
      { sequence: 6, frame: frame(3, 6) },
    ];
    expect(decideFromLog(sent, records)).toEqual({ kind: "fenced", epoch: 3 });
  });

  test("the frame itself is success, even with a higher epoch behind it", () => {
    const records = [
      { sequence: 5, frame: sent.frame },
      { sequence: 6, frame: frame(3, 6) },
    ];
    expect(decideFromLog(sent, records)).toEqual({ kind: "durable", sequence: 5 });
  });

  test("frames of lower epochs are passed: resend after them", () => {
    const records = [
      { sequence: 5, frame: frame(1, 5) },
      { sequence: 6, frame: frame(1, 6) },
    ];
    expect(decideFromLog(sent, records)).toEqual({ kind: "resend", expectedSequence: 6 });
  });

  test("the same number of another life is not the frame itself", () => {
    const records = [{ sequence: 5, frame: frame(2, 5, 9) }];
    expect(decideFromLog(sent, records)).toEqual({ kind: "resend", expectedSequence: 5 });
  });
});

/** A log whose appends end as the script says; it keeps what it was given. */
function scripted(outcomes: AppendOutcome[]) {
  const appends: { expectedSequence: number | null; bytes: string }[] = [];
  const log: Log = {
    frameBytesMax: 1 << 20,
    append: async (_partition, expectedSequence, bytes) => {
      appends.push({ expectedSequence, bytes: Buffer.from(bytes).toString("hex") });
      return outcomes.shift()!;
    },
    lastSequence: async () => 0,
    beginAt: async () => undefined,
    scan: async function* () {
      // Nothing but the epoch frame of an older owner.
      yield { sequence: 5, frame: frame(1, 5) };
    },
    readRanges: async () => [],
    trim: async () => undefined,
    usage: () => {
      throw new Error("nobody asks");
    },
  };
  const logger = createLog({ level: "silent", format: "json" });
  return { appends, appender: new LogAppender(log, logger) };
}

describe("the appender", () => {
  const bytes = frame(2, 5);
  const posted = { partition: 3, frameNo: 5, expectedSequence: 4, frame: bytes };
  const hex = bytes.toString("hex");

  test("resends the same bytes at the same place until the outcome is known", async () => {
    const { appends, appender } = scripted([
      { kind: "unknown", cause: "timeout" },
      { kind: "unknown", cause: "disconnect" },
      { kind: "acked", sequence: 5 },
    ]);
    await appender.appendGroup([posted]);
    const append = { expectedSequence: 4, bytes: hex };
    expect(appends).toEqual([append, append, append]);
  });

  test("goes behind frames of lower epochs with the same bytes", async () => {
    const { appends, appender } = scripted([
      { kind: "refused", lastSequence: 5 },
      { kind: "acked", sequence: 6 },
    ]);
    await appender.appendGroup([posted]);
    expect(appends).toEqual([
      { expectedSequence: 4, bytes: hex },
      { expectedSequence: 5, bytes: hex },
    ]);
  });
});
