import { describe, expect, onTestFinished, test, vi } from "vitest";
import { decideAppend, decideFromLog } from "../../src/actors/append-protocol.ts";
import { LogAppender } from "../../src/actors/log-appender.ts";
import { PartitionContended } from "../../src/actors/recover-anew.ts";
import { CaxtonError } from "../../src/base/errors.ts";
import { createLog } from "../../src/base/log.ts";
import { FRAME_FLAG_EPOCH, FrameWriter } from "../../src/storage/frame-codec.ts";
import {
  type AppendOutcome,
  type AppendRoom,
  type Log,
  StorageAway,
} from "../../src/storage/index.ts";

function frame(
  epoch: number,
  frameNo: number,
  incarnation = 1,
  flags = 0,
  { previousCrc = 0, checkpointFrameNo = 0, content = "" } = {},
): Buffer {
  const writer = new FrameWriter(4096);
  writer.intent(epoch, frameNo);
  if (content !== "") writer.control(JSON.stringify(content));
  const fixed = { flags, partition: 3, previousCrc, timeMs: 1, checkpointFrameNo };
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
    ["unknown", { kind: "unknown", cause: "timeout" }],
    ["refused", { kind: "refused", lastSequence: 5 }],
    ["acked", { kind: "acked", sequence: 6 }],
  ] as const)(
    "an epoch frame that is not known to be where it says is not sent again: %s",
    (_kind, outcome) => {
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
      { sequence: 5, frame: frame(3, 5) },
      { sequence: 6, frame: frame(4, 6) },
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

  test("what only void messages kept out is resent at its place", () => {
    expect(decideFromLog(sent.frame, 4, [])).toEqual({ kind: "resend", expectedSequence: 4 });
  });

  test("a frame of a lower epoch can't be there: it is damage", () => {
    const records = [{ sequence: 5, frame: frame(1, 5) }];
    const decide = () => decideFromLog(sent.frame, 4, records);
    expect(decide).toThrow(expect.objectContaining({ code: "STORAGE_CORRUPT" }));
  });

  test("another frame of its epoch and number fences: the servers lost a tail, and another node took over", () => {
    const fenced = { kind: "fenced", epoch: 2 };
    for (const other of [
      frame(2, 5, 9),
      frame(2, 5, 1, 0, { previousCrc: 7 }),
      frame(2, 5, 1, 0, { content: "other" }),
    ]) {
      expect(decideFromLog(sent.frame, 4, [{ sequence: 5, frame: other }])).toEqual(fenced);
    }
  });
});

/** A log whose appends end as the script says; it keeps what it was given. */
function scripted(outcomes: (AppendOutcome | Error)[], found: Buffer | Error = frame(1, 5)) {
  const appends: { expectedSequence: number | null; bytes: string }[] = [];
  const rooms: (AppendRoom | undefined)[] = [];
  const log: Log = {
    frameBytesMax: 1 << 20,
    append: async (_partition, expectedSequence, bytes, _epoch, room) => {
      appends.push({ expectedSequence, bytes: Buffer.from(bytes).toString("hex") });
      rooms.push(room);
      const outcome = outcomes.shift()!;
      if (outcome instanceof Error) throw outcome;
      return outcome;
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
  return { appends, rooms, away, appender: new LogAppender(log, logger, away) };
}

describe("the appender", () => {
  const bytes = frame(2, 5);
  const posted = {
    partition: 3,
    frameNo: 5,
    expectedSequence: 4,
    frame: bytes,
    hasEvents: false,
  };
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

  test("servers that come back are found soon, however long they were away", async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const tries = 1000;
    const cause = "no server answers for it now";
    const unknowns = Array.from({ length: tries }, () => ({ kind: "unknown", cause }) as const);
    const { appends, appender } = scripted([...unknowns, { kind: "acked", sequence: 5 }]);
    const appended = appender.appendGroup([posted]);
    // A twentieth of the shortest election.
    for (let triesBefore = 0; appends.length <= tries; triesBefore = appends.length) {
      await vi.advanceTimersByTimeAsync(200);
      expect(appends.length).toBeGreaterThan(triesBefore);
    }
    await appended;
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

  const full = new CaxtonError("STORAGE_FULL");

  test("waits while the log is full; what was begun takes of the reserve, what names a checkpoint all of it", async () => {
    const ordinary = scripted([full, full, { kind: "acked", sequence: 5 }]);
    await ordinary.appender.appendGroup([posted]);
    expect(ordinary.rooms).toEqual(["ordinary", "begun", "begun"]);
    const naming = scripted([full, full, { kind: "acked", sequence: 5 }]);
    await naming.appender.appendGroup([
      { ...posted, frame: frame(2, 5, 1, 0, { checkpointFrameNo: 5 }) },
    ]);
    expect(naming.rooms).toEqual(["ordinary", "reserve", "reserve"]);
  });

  test("a start does not wait for room for its epoch frames, a worker that comes back does", async () => {
    const opening = { ...posted, expectedSequence: null };
    const atStart = scripted([full]).appender.appendGroup([opening]);
    await expect(atStart).rejects.toMatchObject({ code: "STORAGE_FULL" });
    const later = scripted([full, { kind: "acked", sequence: 5 }]);
    later.appender.started();
    await later.appender.appendGroup([opening]);
    expect(later.appends).toHaveLength(2);
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
