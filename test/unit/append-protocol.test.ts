import { describe, expect, test } from "vitest";
import { decideAppend, decideFromLog } from "../../src/actors/append-protocol.ts";
import { LogAppender, PartitionContended } from "../../src/actors/log-appender.ts";
import { CaxtonError } from "../../src/base/errors.ts";
import { createLog } from "../../src/base/log.ts";
import { FRAME_FLAG_EPOCH, FrameWriter } from "../../src/storage/frame-codec.ts";
import { type AppendOutcome, type Log, StorageAway } from "../../src/storage/index.ts";

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

  test.each([
    { kind: "unknown", cause: "timeout" },
    { kind: "refused", lastSequence: 5 },
    { kind: "acked", sequence: 6 },
  ] as const)(
    "an epoch frame that is not known to be where it says is not sent again: $kind",
    (outcome) => {
      const opening = { expectedSequence: null, frame: frame(2, 5, 1, FRAME_FLAG_EPOCH) };
      expect(decideAppend(opening, outcome)).toEqual({ kind: "contended" });
      expect(decideAppend(opening, { kind: "acked", sequence: 5 })).toMatchObject({
        kind: "durable",
      });
    },
  );
});

describe("what the log holds decides", () => {
  const sent = { expectedSequence: 4, frame: frame(2, 5) };

  test("a frame of a higher epoch fences", () => {
    const records = [
      { sequence: 5, frame: frame(1, 5) },
      { sequence: 6, frame: frame(3, 6) },
    ];
    expect(decideFromLog(sent.frame, 4, records)).toEqual({ kind: "fenced", epoch: 3 });
  });

  test("the frame itself is success, even with a higher epoch behind it", () => {
    const records = [
      { sequence: 5, frame: sent.frame },
      { sequence: 6, frame: frame(3, 6) },
    ];
    expect(decideFromLog(sent.frame, 4, records)).toEqual({ kind: "durable", sequence: 5 });
  });

  test("frames of lower epochs are passed: resend after them", () => {
    const records = [
      { sequence: 5, frame: frame(1, 5) },
      { sequence: 6, frame: frame(1, 6) },
    ];
    expect(decideFromLog(sent.frame, 4, records)).toEqual({ kind: "resend", expectedSequence: 6 });
  });

  test("the same number of another life is not the frame itself", () => {
    const records = [{ sequence: 5, frame: frame(2, 5, 9) }];
    expect(decideFromLog(sent.frame, 4, records)).toEqual({ kind: "resend", expectedSequence: 5 });
  });
});

/** A log whose appends end as the script says; it keeps what it was given. */
function scripted(outcomes: AppendOutcome[], found: Buffer | Error = frame(1, 5)) {
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
      if (found instanceof Error) throw found;
      yield { sequence: 5, frame: found };
    },
    readRanges: async () => [],
    trim: async () => undefined,
    usage: () => {
      throw new Error("nobody asks");
    },
  };
  const away = new StorageAway();
  const logger = createLog({ level: "silent", format: "json" });
  return { appends, away, appender: new LogAppender(log, logger, away) };
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

  test("a frame that lands elsewhere than it says is damage: what refers to it would be lost", async () => {
    const { appender } = scripted([{ kind: "acked", sequence: 6 }]);
    await expect(appender.appendGroup([posted])).rejects.toMatchObject({ code: "STORAGE_CORRUPT" });
  });

  test("a frame of a higher epoch in its place stops it", async () => {
    const { appends, appender } = scripted([{ kind: "refused", lastSequence: 5 }], frame(3, 5));
    const appended = appender.appendGroup([posted]);
    await expect(appended).rejects.toMatchObject({ code: "PARTITION_FENCED" });
    expect(appends).toHaveLength(1);
  });

  test("an epoch frame of unknown fate is not sent again", async () => {
    const { appends, appender } = scripted([{ kind: "unknown", cause: "timeout" }]);
    const appended = appender.appendGroup([{ ...posted, expectedSequence: null }]);
    await expect(appended).rejects.toThrow(PartitionContended);
    expect(appends).toHaveLength(1);
  });

  test("waits for a log that can't be read, and says for how long it was away", async () => {
    const unreachable = new CaxtonError("STORAGE_UNAVAILABLE");
    const { appends, away, appender } = scripted(
      [
        { kind: "refused", lastSequence: 5 },
        { kind: "acked", sequence: 5 },
      ],
      unreachable,
    );
    const appended = appender.appendGroup([posted]);
    await expect.poll(() => away.reason, { interval: 1 }).toBeDefined();
    await appended;
    expect(appends).toHaveLength(2);
    expect(away.reason).toBeUndefined();
  });
});
