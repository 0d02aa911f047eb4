/** A disk that fails, fills up or dies in the middle of anything. */
import { describe, expect, test } from "vitest";
import type { CaxtonError } from "../../src/base/errors.ts";
import type { Storage } from "../../src/storage/index.ts";
import { frameOf } from "./frames.ts";
import {
  acked,
  codeOf,
  collect,
  failingFileSystem,
  fillLog,
  openSmall,
  SMALL_SEGMENT_BYTES,
  systemError,
  temporaryDirectory,
} from "./support.ts";

describe("a failed write or sync", () => {
  test.each(["write", "datasync"] as const)("%s: nothing is written any more", async (name) => {
    const directory = await temporaryDirectory();
    let failing = false;
    let callsAfter = 0;
    const fileSystem = failingFileSystem((call) => {
      if (!failing || !call.path.endsWith("0000000001.segment")) return undefined;
      callsAfter += 1;
      // It fails once: a second try would be told that all is well.
      return call.name === name && callsAfter <= 2 ? systemError("EIO") : undefined;
    });
    const failures: CaxtonError[] = [];
    const storage = await openSmall(directory, { fileSystem, onFailed: (e) => failures.push(e) });
    await acked(storage, 0, frameOf("before", 100));
    failing = true;
    const asked = [
      storage.log.append(0, 1, frameOf("a", 100), 1),
      storage.log.append(1, 0, frameOf("b", 9), 1),
    ];
    expect(await Promise.all(asked.map(codeOf))).toEqual(["STORAGE_FAILED", "STORAGE_FAILED"]);
    const calls = callsAfter;
    expect(await codeOf(storage.log.append(0, 1, frameOf("a", 100), 1))).toBe("STORAGE_FAILED");
    expect(await codeOf(storage.records.put("a", frameOf("a", 1), 0))).toBe("STORAGE_FAILED");
    expect(await codeOf(storage.blobs.put(frameOf("a", 1)))).toBe("STORAGE_FAILED");
    expect(callsAfter).toBe(calls);
    expect(failures.map((failure) => failure.code)).toEqual(["STORAGE_FAILED"]);
    expect(failures[0]?.message).toContain("EIO");
    // What was acknowledged can still be read.
    expect(await collect(storage.log.scan(0, 1))).toHaveLength(1);
    await storage.close();
    const reopened = await openSmall(directory);
    expect(reopened.opening.clean).toBe(false);
    expect((await collect(reopened.log.scan(0, 1)))[0]?.frame).toEqual(frameOf("before", 100));
  });

  test("a blob whose sync failed is not there, and stops the log too", async () => {
    let failing = false;
    const fileSystem = failingFileSystem((call) =>
      failing && call.name === "datasync" && call.path.includes("/blobs/")
        ? systemError("EIO")
        : undefined,
    );
    const directory = await temporaryDirectory();
    const storage = await openSmall(directory, { fileSystem });
    const kept = await storage.blobs.put(frameOf("kept", 10));
    failing = true;
    expect(await codeOf(storage.blobs.put(frameOf("lost", 10)))).toBe("STORAGE_FAILED");
    expect(await codeOf(storage.log.append(0, 0, frameOf("a", 10), 1))).toBe("STORAGE_FAILED");
    await storage.close();
    const reopened = await openSmall(directory);
    expect(await reopened.blobs.get(kept)).toEqual(frameOf("kept", 10));
  });

  test("a damaged frame is noticed when it is read", async () => {
    const directory = await temporaryDirectory();
    const storage = await openSmall(directory);
    await acked(storage, 0, frameOf("a", 3_000));
    const other = failingFileSystem(() => undefined);
    const fd = await other.open(`${directory}/log/0000000001.segment`, "r+");
    await other.write(fd, [new Uint8Array([1, 2, 3])], 512 + 1_000);
    await other.close(fd);
    expect(await codeOf(collect(storage.log.scan(0, 1)))).toBe("STORAGE_CORRUPT");
  });
});

describe("a full log", () => {
  const LIMIT = 6 * SMALL_SEGMENT_BYTES;
  const small = (storage: Storage, partition = 0): Promise<number> =>
    acked(storage, partition, frameOf("small", 10));

  test("refuses without writing, and goes on where it was after a trim", async () => {
    const directory = await temporaryDirectory();
    const storage = await openSmall(directory, { sizeBytesMax: LIMIT });
    const last = await fillLog(storage, 0, 4_000);
    expect(last).toBeGreaterThan(8);
    expect(storage.log.usage().bytes).toBeLessThanOrEqual(LIMIT);
    expect(storage.log.usage().framesAppended).toBe(last);
    // What fits into the current segment is still taken; a large one in between is refused alone.
    const asked = [
      storage.log.append(1, 0, frameOf("small", 10), 1),
      storage.log.append(2, 0, frameOf("large", 4_000), 1),
      storage.log.append(3, 0, frameOf("small", 10), 1),
    ];
    expect(await Promise.all(asked.map(codeOf))).toEqual(["resolved", "STORAGE_FULL", "resolved"]);
    await storage.log.trim(0, last);
    expect(await storage.log.append(0, last, frameOf("f", 4_000), 1)).toEqual({
      kind: "acked",
      sequence: last + 1,
    });
    await storage.close();
    const reopened = await openSmall(directory, { sizeBytesMax: LIMIT });
    expect(await reopened.log.lastSequence(0)).toBe(last + 1);
    expect(await reopened.log.lastSequence(2)).toBe(0);
  });

  test("is emptied though partitions at rest have their only frames in the oldest segment", async () => {
    const directory = await temporaryDirectory();
    let storage = await openSmall(directory, { sizeBytesMax: LIMIT });
    for (let partition = 1; partition <= 9; partition++) await small(storage, partition);
    // Partition 1 rests with frames in two segments.
    for (let i = 0; i < 3; i++) await acked(storage, 0, frameOf("f", 4_000));
    await small(storage, 1);
    await fillLog(storage, 0, 4_000);
    // To the last byte: what makes room must not need any.
    let last = await fillLog(storage, 0, 0);
    for (let round = 0; round < 5; round++) {
      await storage.log.trim(0, last);
      const before = last;
      expect(await fillLog(storage, 0, 4_000)).toBeGreaterThan(before + 6);
      last = await fillLog(storage, 0, 0);
      await storage.close();
      storage = await openSmall(directory, { sizeBytesMax: LIMIT });
    }
    for (let partition = 1; partition <= 9; partition++) {
      const kept = await collect(storage.log.scan(partition, 1));
      const sequences = partition === 1 ? [1, 2] : [1];
      expect(kept).toEqual(
        sequences.map((sequence) => ({ sequence, frame: frameOf("small", 10) })),
      );
    }
    expect(storage.log.usage().bytes).toBeLessThanOrEqual(LIMIT);
  });

  test("is not one whose only segment was made for a larger limit", async () => {
    const directory = await temporaryDirectory();
    const before = await openSmall(directory, {
      segmentBytes: 5 * SMALL_SEGMENT_BYTES,
      sizeBytesMax: 40 * SMALL_SEGMENT_BYTES,
    });
    expect(await small(before)).toBe(1);
    await before.close();
    const storage = await openSmall(directory, { sizeBytesMax: LIMIT });
    expect(storage.log.usage().fullShare).toBeLessThan(0.2);
    expect(await fillLog(storage, 0, 4_000)).toBeGreaterThan(4);
    await storage.close();
  });

  test("a full disk is a full log until there is room again", async () => {
    let full = true;
    const fileSystem = failingFileSystem((call) => {
      const fills = call.name === "write" && call.path.endsWith("0000000002.segment");
      return full && fills ? systemError("ENOSPC") : undefined;
    });
    const failures: CaxtonError[] = [];
    const onFailed = (error: CaxtonError): unknown => failures.push(error);
    const storage = await openSmall(await temporaryDirectory(), { fileSystem, onFailed });
    expect(await fillLog(storage, 0, 4_000)).toBe(3);
    full = false;
    const append = (): Promise<string> =>
      codeOf(storage.log.append(0, null, frameOf("f", 4_000), 1));
    await expect.poll(append, { timeout: 10_000 }).toBe("resolved");
    expect(await fillLog(storage, 0, 4_000)).toBeGreaterThan(10);
    expect(failures).toEqual([]);
  });

  test("a limit too small for three segments is refused", async () => {
    const directory = await temporaryDirectory();
    const opening = openSmall(directory, { sizeBytesMax: 3 * SMALL_SEGMENT_BYTES - 1 });
    expect(await codeOf(opening)).toBe("INVALID_CONFIG");
  });

  test("a frame larger than a segment is refused by itself", async () => {
    const storage = await openSmall(await temporaryDirectory());
    const largest = SMALL_SEGMENT_BYTES - 512 - 64;
    expect(await codeOf(storage.log.append(0, 0, new Uint8Array(largest + 1), 1))).toBe("INTERNAL");
    expect(await codeOf(storage.log.append(0, 0, new Uint8Array(largest), 1))).toBe("resolved");
  });
});

describe("a disk that dies at any call", () => {
  /** Appends, trims and stores until the disk dies; returns what was acknowledged. */
  async function work(
    directory: string,
    diesAt: number,
  ): Promise<{ frames: number[]; blobs: string[]; calls: number }> {
    let calls = 0;
    const fileSystem = failingFileSystem((call) => {
      calls = call.count;
      return call.count >= diesAt ? systemError("EIO") : undefined;
    });
    const frames = [0, 0, 0];
    const blobs: string[] = [];
    try {
      const storage = await openSmall(directory, {
        fileSystem,
        sizeBytesMax: 5 * SMALL_SEGMENT_BYTES,
      });
      try {
        for (let i = 0; i < 24; i++) {
          const sequences = await Promise.all([
            acked(storage, 0, frameOf(`0 ${i}`, 2_500)),
            i % 8 === 0 ? acked(storage, 1, frameOf(`1 ${i}`, 300)) : undefined,
          ]);
          frames[0] = sequences[0];
          frames[1] = sequences[1] ?? frames[1]!;
          if (i % 6 === 5) await storage.log.trim(0, frames[0] - 3);
          if (i % 10 === 0) blobs.push(await storage.blobs.put(frameOf(`blob ${i}`, 50)));
        }
      } finally {
        await storage.close();
      }
    } catch (error) {
      expect(error).toBeInstanceOf(Error);
    }
    return { frames, blobs, calls };
  }

  test("nothing acknowledged is lost, and the directory opens", async () => {
    const whole = await work(await temporaryDirectory(), Infinity);
    expect(whole.frames).toEqual([24, 3, 0]);
    expect(whole.calls).toBeGreaterThan(150);
    for (let diesAt = 20; diesAt <= whole.calls; diesAt += 4) {
      const directory = await temporaryDirectory();
      const done = await work(directory, diesAt);
      const storage = await openSmall(directory, { sizeBytesMax: 5 * SMALL_SEGMENT_BYTES });
      for (const partition of [0, 1]) {
        const records = await collect(storage.log.scan(partition, 1));
        const last = records.at(-1)?.sequence ?? 0;
        expect(last).toBeGreaterThanOrEqual(done.frames[partition]!);
        for (const { sequence, frame } of records) {
          const i = partition === 0 ? sequence - 1 : (sequence - 1) * 8;
          const expected = frameOf(`${partition} ${i}`, partition === 0 ? 2_500 : 300);
          expect(Buffer.compare(frame, expected)).toBe(0);
        }
      }
      for (const sha256 of done.blobs) expect(await storage.blobs.has(sha256)).toBe(true);
      await storage.close();
    }
  }, 90_000);
});
