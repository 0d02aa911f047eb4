/** What every storage engine must do. An engine's test calls `storageContract` with a way to open it. */
import { createHash } from "node:crypto";
import { beforeEach, describe, expect, test } from "vitest";
import type { AppendOutcome, Storage } from "../../../src/storage/index.ts";
import { frameOf } from "../../storage/frames.ts";
import { codeOf, collect } from "../../storage/support.ts";
import { fullContract, type SmallLog } from "./full-contract.ts";

export interface StorageUnderTest {
  readonly storage: Storage;
  /** Stops it cleanly and opens it again on the same data. */
  reopen(): Promise<Storage>;
  /** Opens the same data once more, as a second node does. Absent where the engine allows one writer only. */
  another?(): Promise<Storage>;
}

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const acked = (sequence: number) => ({ kind: "acked", sequence });
const refused = (lastSequence: number) => ({ kind: "refused", lastSequence });

export function storageContract(
  name: string,
  open: () => Promise<StorageUnderTest>,
  { small, writers = "one" }: { small: SmallLog; writers?: "one" | "many" },
): void {
  describe(`${name}: storage contract`, () => {
    let under: StorageUnderTest;
    let storage: Storage;
    beforeEach(async () => {
      under = await open();
      storage = under.storage;
    });
    const current = (): Storage => storage;
    const reopen = async (): Promise<Storage> => (storage = await under.reopen());

    describe("log: append", () => appendContract(current, reopen));
    describe("log: read", () => readContract(current));
    if (writers === "many") {
      describe("log: two writers", () =>
        twoWritersContract(current, () => under.another!(), reopen));
    }
    describe("log: trim", () => trimContract(current, reopen));
    describe("log: full", () => fullContract(small));
    describe("records", () => recordsContract(current, reopen));
    describe("blobs", () => blobsContract(current, reopen));
  });
}

function appendContract(current: () => Storage, reopen: () => Promise<Storage>): void {
  test("sequences are dense from 1 in every partition", async () => {
    const { log } = current();
    expect(await log.lastSequence(3)).toBe(0);
    expect(await log.append(3, 0, bytes("a"), 1)).toEqual(acked(1));
    expect(await log.append(3, 1, bytes("b"), 1)).toEqual(acked(2));
    expect(await log.append(4, 0, bytes("c"), 1)).toEqual(acked(1));
    expect(await log.lastSequence(3)).toBe(2);
    expect(await log.lastSequence(4)).toBe(1);
  });

  test("an unexpected sequence is refused with what the log holds, and nothing is written", async () => {
    const { log } = current();
    await log.append(0, 0, bytes("a"), 1);
    expect(await log.append(0, 0, bytes("again"), 1)).toEqual({ kind: "refused", lastSequence: 1 });
    expect(await log.append(0, 2, bytes("too far"), 1)).toEqual({
      kind: "refused",
      lastSequence: 1,
    });
    expect(await log.append(1, 7, bytes("new"), 1)).toEqual({ kind: "refused", lastSequence: 0 });
    expect(await log.lastSequence(1)).toBe(0);
    expect((await collect(log.scan(0, 1))).map((record) => record.sequence)).toEqual([1]);
  });

  test("null appends whatever the log holds", async () => {
    const { log } = current();
    expect(await log.append(0, null, bytes("a"), 1)).toEqual(acked(1));
    expect(await log.append(0, null, bytes("b"), 2)).toEqual(acked(2));
  });

  test("appends asked together keep their order and share commits", async () => {
    const { log } = current();
    const before = log.usage();
    const asked = Array.from({ length: 64 }, (_, i) =>
      log.append(i % 4, Math.floor(i / 4), frameOf(`f${i}`, 100), 1),
    );
    const outcomes = await Promise.all(asked);
    expect(outcomes).toEqual(outcomes.map((_, i) => acked(Math.floor(i / 4) + 1)));
    const after = log.usage();
    expect(after.framesAppended - before.framesAppended).toBe(64);
    expect(after.commits - before.commits).toBeLessThan(8);
    expect(after.fsyncs).toBeGreaterThanOrEqual(after.commits);
    expect(after.bytesAppended - before.bytesAppended).toBeGreaterThanOrEqual(6400);
    expect(after.bytes).toBeLessThanOrEqual(after.bytesMax);
  });

  test("two appends with the same expectation: the first asked wins", async () => {
    const { log } = current();
    const both = [log.append(0, 0, bytes("first"), 1), log.append(0, 0, bytes("second"), 1)];
    expect(await Promise.all(both)).toEqual([acked(1), { kind: "refused", lastSequence: 1 }]);
    const [record] = await collect(log.scan(0, 1));
    expect(record?.frame).toEqual(bytes("first"));
  });

  test("the log of a copy begins at the number that the original had left", async () => {
    const { log } = current();
    await log.beginAt(2, 41);
    expect(await log.append(2, 0, bytes("first"), 1)).toEqual({
      kind: "refused",
      lastSequence: 40,
    });
    expect(await log.append(2, 40, bytes("a"), 1)).toEqual(acked(41));
    expect(await log.append(2, 41, bytes("b"), 1)).toEqual(acked(42));
    const again = (await reopen()).log;
    expect(await collect(again.scan(2, 1))).toEqual([
      { sequence: 41, frame: bytes("a") },
      { sequence: 42, frame: bytes("b") },
    ]);
    expect(await again.append(2, 42, bytes("c"), 1)).toEqual(acked(43));
  });

  test("a reopened log goes on where it stopped", async () => {
    const { log } = current();
    for (let i = 0; i < 20; i++) {
      await log.append(i % 3, Math.floor(i / 3), frameOf(`f${i}`, 50 * i), 1);
    }
    const storage = await reopen();
    expect(storage.opening).toEqual({ clean: true, created: false, tornBytesCut: 0 });
    expect(await storage.log.lastSequence(0)).toBe(7);
    expect(await storage.log.append(0, 7, bytes("on"), 1)).toEqual(acked(8));
    const frames = (await collect(storage.log.scan(1, 1))).map((record) => record.frame);
    expect(frames).toEqual([1, 4, 7, 10, 13, 16, 19].map((i) => frameOf(`f${i}`, 50 * i)));
  });
}

function readContract(current: () => Storage): void {
  const fill = async (count: number): Promise<void> => {
    const { log } = current();
    for (let i = 1; i <= count; i++) {
      await Promise.all([
        log.append(0, i - 1, frameOf(`zero ${i}`, 10 * i), 1),
        log.append(1, i - 1, frameOf(`one ${i}`, 7 * i), 1),
      ]);
    }
  };

  test("scan gives the frames of one partition in order, from a sequence on", async () => {
    await fill(12);
    const records = await collect(current().log.scan(1, 5));
    expect(records).toEqual(
      [5, 6, 7, 8, 9, 10, 11, 12].map((sequence) => ({
        sequence,
        frame: frameOf(`one ${sequence}`, 7 * sequence),
      })),
    );
    expect(await collect(current().log.scan(1, 13))).toEqual([]);
    expect(await collect(current().log.scan(9, 1))).toEqual([]);
  });

  test("scan ends at what was newest when it was asked for", async () => {
    await fill(3);
    const scan = current().log.scan(0, 1);
    await current().log.append(0, 3, bytes("later"), 1);
    expect(await collect(scan)).toHaveLength(3);
  });

  test("a frame may be empty, and a scanned frame owns its memory", async () => {
    const { log } = current();
    await log.append(0, 0, new Uint8Array(0), 1);
    await log.append(0, 1, frameOf("a", 300), 1);
    await log.append(0, 2, frameOf("b", 300), 1);
    const frames = (await collect(log.scan(0, 1))).map((record) => record.frame);
    expect(frames.map((frame) => frame.length)).toEqual([0, 300, 300]);
    expect(frames.map((frame) => frame.buffer.byteLength)).toEqual([0, 300, 300]);
  });

  test("readRanges answers in the order asked, near and far, empty and whole", async () => {
    await fill(12);
    const ranges = [
      { sequence: 12, offset: 0, length: 120 },
      { sequence: 1, offset: 3, length: 4 },
      { sequence: 1, offset: 9, length: 1 },
      { sequence: 7, offset: 70, length: 0 },
      { sequence: 3, offset: 10, length: 20 },
      { sequence: 1, offset: 3, length: 4 },
    ];
    const expected = ranges.map(({ sequence, offset, length }) =>
      frameOf(`zero ${sequence}`, 10 * sequence).subarray(offset, offset + length),
    );
    expect(await current().log.readRanges(0, ranges)).toEqual(expected);
    expect(await current().log.readRanges(0, [])).toEqual([]);
  });

  test("readRanges rejects what was never stored", async () => {
    await fill(2);
    const { log } = current();
    for (const range of [
      { sequence: 3, offset: 0, length: 1 },
      { sequence: 2, offset: 15, length: 6 },
    ]) {
      expect(await codeOf(log.readRanges(0, [range]))).toBe("INTERNAL");
    }
  });
}

/** The first is the old owner of the partition, the second the new one. */
function twoWritersContract(
  current: () => Storage,
  another: () => Promise<Storage>,
  reopen: () => Promise<Storage>,
): void {
  const framesOf = async ({ log }: Storage): Promise<string[]> => {
    const records = await collect(log.scan(0, 1));
    expect(records.map(({ sequence }) => sequence)).toEqual(records.map((_, i) => i + 1));
    return records.map(({ frame }) => Buffer.from(frame).toString());
  };

  /** Two owners, the second with an epoch frame in the log. */
  const takenOver = async (): Promise<[Storage, Storage]> => {
    const [old, next] = [current(), await another()];
    expect(await old.log.append(0, null, bytes("epoch 1"), 1)).toEqual(acked(1));
    expect(await old.log.append(0, 1, bytes("old"), 1)).toEqual(acked(2));
    expect(await next.log.append(0, null, bytes("epoch 2"), 2)).toEqual(acked(3));
    return [old, next];
  };

  test("what one appends the other reads, and an epoch frame lands behind it", async () => {
    const [old, next] = await takenOver();
    for (const storage of [old, next]) {
      expect(await storage.log.lastSequence(0)).toBe(3);
      expect(await framesOf(storage)).toEqual(["epoch 1", "old", "epoch 2"]);
    }
    const ranges = [{ sequence: 3, offset: 0, length: 5 }];
    expect(await old.log.readRanges(0, ranges)).toEqual([bytes("epoch")]);
  });

  test("the old owner's appends are refused with what the log holds", async () => {
    const [old, next] = await takenOver();
    expect(await old.log.append(0, 2, bytes("late"), 1)).toEqual(refused(3));
    expect(await old.log.append(0, 3, bytes("late"), 1)).toEqual(refused(3));
    expect(await next.log.append(0, 3, bytes("new"), 2)).toEqual(acked(4));
    expect(await framesOf(old)).toEqual(["epoch 1", "old", "epoch 2", "new"]);
  });

  test("a late epoch frame of the old owner is void: it has no number and is not seen", async () => {
    const [old, next] = await takenOver();
    expect(await old.log.append(0, null, bytes("late epoch 1"), 1)).toEqual(refused(3));
    // The new owner has not seen it: the first try tells, the second goes behind it.
    expect(await next.log.append(0, 3, bytes("new"), 2)).toEqual(refused(3));
    expect(await next.log.append(0, 3, bytes("new"), 2)).toEqual(acked(4));
    expect(await old.log.append(0, null, bytes("later epoch 1"), 1)).toEqual(refused(4));
    const frames = ["epoch 1", "old", "epoch 2", "new"];
    for (const writer of [() => old, () => next, reopen]) {
      const storage = await writer();
      expect(await framesOf(storage)).toEqual(frames);
      expect(await storage.log.lastSequence(0)).toBe(4);
    }
    expect(await current().log.append(0, 4, bytes("on"), 2)).toEqual(acked(5));
  });

  test("of two epoch frames with one number the second is void", async () => {
    const [one, two] = [current(), await another()];
    expect(await one.log.append(0, null, bytes("one"), 4)).toEqual(acked(1));
    expect(await two.log.append(0, null, bytes("two"), 4)).toEqual(refused(1));
    expect(await framesOf(two)).toEqual(["one"]);
    expect(await two.log.append(0, null, bytes("two"), 5)).toEqual(acked(2));
    expect(await one.log.append(0, 1, bytes("late"), 4)).toEqual(refused(2));
  });

  test("of two who append at once exactly one wins, every time", async () => {
    const [one, two] = [current(), await another()];
    for (let last = 0; last < 30; last++) {
      const outcomes = await Promise.all([
        decided(() => one.log.append(0, last, bytes(`one ${last}`), 1)),
        decided(() => two.log.append(0, last, bytes(`two ${last}`), 1)),
      ]);
      const winner = outcomes[0].kind === "acked" ? 0 : 1;
      expect(outcomes[winner]).toEqual(acked(last + 1));
      expect(outcomes[1 - winner]).toEqual(refused(last + 1));
    }
    expect(await framesOf(one)).toHaveLength(30);
  });
}

/** Sent again for as long as nobody knows what became of it. */
async function decided(append: () => Promise<AppendOutcome>): Promise<AppendOutcome> {
  let outcome = await append();
  while (outcome.kind === "unknown") outcome = await append();
  return outcome;
}

function trimContract(current: () => Storage, reopen: () => Promise<Storage>): void {
  test("the newest frame is never removed, and sequences go on", async () => {
    const { log } = current();
    for (let i = 0; i < 5; i++) await log.append(0, i, frameOf(`f${i}`, 40), 1);
    await log.trim(0, 1_000);
    expect(await log.lastSequence(0)).toBe(5);
    const kept = await collect(log.scan(0, 1));
    expect(kept.at(-1)).toEqual({ sequence: 5, frame: frameOf("f4", 40) });
    expect(await log.append(0, 5, bytes("on"), 1)).toEqual(acked(6));
  });

  test("frames not trimmed stay readable, in this and in other partitions, over a restart", async () => {
    const { log } = current();
    for (let i = 0; i < 200; i++) {
      await log.append(0, i, frameOf(`zero ${i}`, 900), 1);
      if (i < 3) await log.append(1, i, frameOf(`one ${i}`, 200), 1);
    }
    await log.trim(0, 150);
    const check = async (storage: Storage): Promise<void> => {
      const zero = await collect(storage.log.scan(0, 150));
      expect(zero.map((record) => record.sequence)).toEqual(
        Array.from({ length: 51 }, (_, i) => 150 + i),
      );
      for (const { sequence, frame } of zero) {
        expect(Buffer.compare(frame, frameOf(`zero ${sequence - 1}`, 900))).toBe(0);
      }
      const one = (await collect(storage.log.scan(1, 1))).map((record) => record.frame);
      expect(one).toEqual([0, 1, 2].map((i) => frameOf(`one ${i}`, 200)));
    };
    await check(current());
    await check(await reopen());
    expect(await current().log.append(1, 3, bytes("on"), 1)).toEqual(acked(4));
  });

  test("trimming an unknown partition does nothing", async () => {
    await current().log.trim(77, 10);
    expect(await current().log.lastSequence(77)).toBe(0);
  });
}

function recordsContract(current: () => Storage, reopen: () => Promise<Storage>): void {
  test("put compares the revision", async () => {
    const { records } = current();
    expect(await records.get("a")).toBeUndefined();
    expect(await records.put("a", bytes("1"), 0)).toEqual({ kind: "written", revision: 1 });
    expect(await records.put("a", bytes("x"), 0)).toEqual({ kind: "conflict", revision: 1 });
    expect(await records.put("a", bytes("x"), 2)).toEqual({ kind: "conflict", revision: 1 });
    expect(await records.put("a", bytes("2"), 1)).toEqual({ kind: "written", revision: 2 });
    expect(await records.put("a", bytes(""), null)).toEqual({ kind: "written", revision: 3 });
    expect(await records.get("a")).toEqual({ key: "a", value: bytes(""), revision: 3 });
    expect(await records.put("b", bytes("x"), 1)).toEqual({ kind: "conflict", revision: 0 });
  });

  test("a key created anew has a revision no earlier holder knows", async () => {
    const { records } = current();
    await records.put("a", bytes("1"), 0);
    expect(await records.delete("a", 7)).toEqual({ kind: "conflict", revision: 1 });
    expect((await records.delete("a", 1)).kind).toBe("written");
    expect(await records.get("a")).toBeUndefined();
    expect(await records.list("")).toEqual([]);
    expect(await records.put("a", bytes("x"), 1)).toEqual({ kind: "conflict", revision: 0 });
    const again = await records.put("a", bytes("2"), 0);
    expect(again.kind).toBe("written");
    expect(again.revision).toBeGreaterThan(1);
    expect((await records.delete("never there", null)).kind).toBe("written");
    expect((await records.delete("never there", 3)).kind).toBe("conflict");
  });

  test("list gives the keys with the prefix in the order of their bytes", async () => {
    const { records } = current();
    const keys = [
      "a/é",
      "a/%",
      "a/_b",
      "a/z",
      "a/ｚ",
      "a/😀",
      "a",
      "a0",
      "b/1",
      "A/1",
      "a/",
      "%",
      "a/\u0000",
    ];
    for (const key of keys) await records.put(key, bytes(key), 0);
    const inOrder = (prefix: string): string[] =>
      keys
        .filter((key) => key.startsWith(prefix))
        .sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)));
    for (const prefix of ["", "a/", "a/_", "%", "a/é", "nothing", "a/😀", "b"]) {
      const listed = await records.list(prefix);
      expect(listed.map((record) => record.key)).toEqual(inOrder(prefix));
      expect(listed.every((record) => Buffer.from(record.value).toString() === record.key)).toBe(
        true,
      );
    }
  });

  test("records survive a restart", async () => {
    await current().records.put("a", frameOf("value", 100_000), 0);
    await current().records.put("b", bytes("gone"), 0);
    await current().records.delete("b", 1);
    const { records } = await reopen();
    const stored = await records.get("a");
    expect(Buffer.compare(stored!.value, frameOf("value", 100_000))).toBe(0);
    expect(await records.get("b")).toBeUndefined();
    expect(await records.put("a", bytes("x"), 1)).toEqual({ kind: "written", revision: 2 });
  });

  test("watch hints at changes under its prefix until it is stopped", async () => {
    const { records } = current();
    const seen: string[] = [];
    const first = Promise.withResolvers<string>();
    const stop = records.watch("a/", (key) => {
      seen.push(key);
      first.resolve(key);
    });
    await records.put("b/1", bytes("x"), 0);
    await records.put("a/1", bytes("x"), 0);
    await first.promise;
    const deleted = Promise.withResolvers<string>();
    records.watch("a/1", deleted.resolve);
    stop();
    await records.delete("a/1", 1);
    await deleted.promise;
    expect(seen).toEqual(["a/1"]);
  });
}

function blobsContract(current: () => Storage, reopen: () => Promise<Storage>): void {
  const content = frameOf("blob", 300_000);
  const sha256 = createHash("sha256").update(content).digest("hex");

  test("a blob is found by its hash, also after a restart", async () => {
    expect(await current().blobs.put(content)).toBe(sha256);
    expect(Buffer.compare((await current().blobs.get(sha256))!, content)).toBe(0);
    const { blobs } = await reopen();
    expect(Buffer.compare((await blobs.get(sha256))!, content)).toBe(0);
    expect(await blobs.has(sha256)).toBe(true);
  });

  test("putting the same content again, also at once, is one blob", async () => {
    const { blobs } = current();
    expect(await Promise.all([blobs.put(content), blobs.put(content)])).toEqual([sha256, sha256]);
    expect(await blobs.put(content)).toBe(sha256);
    await blobs.delete(sha256);
    expect(await blobs.has(sha256)).toBe(false);
    expect(await blobs.get(sha256)).toBeUndefined();
    await blobs.delete(sha256);
  });

  test("a part of a blob can be read, none of it beyond its end", async () => {
    const { blobs } = current();
    await blobs.put(content);
    expect(await blobs.readRange(sha256, 0, content.length)).toEqual(new Uint8Array(content));
    expect(await blobs.readRange(sha256, 1000, 7)).toEqual(
      new Uint8Array(content.subarray(1000, 1007)),
    );
    expect(await blobs.readRange(sha256, 5, 0)).toEqual(new Uint8Array(0));
    expect(await blobs.readRange(sha256, content.length - 3, 4)).toBeUndefined();
    expect(await blobs.readRange("ab".repeat(32), 0, 1)).toBeUndefined();
    const again = (await reopen()).blobs;
    expect(await again.readRange(sha256, 1000, 1)).toEqual(
      new Uint8Array(content.subarray(1000, 1001)),
    );
    await again.delete(sha256);
    expect(await again.readRange(sha256, 0, 1)).toBeUndefined();
  });

  test("parts of many blobs can be read at once, while some of them go", async () => {
    const { blobs } = current();
    const names = await Promise.all(
      Array.from({ length: 100 }, (_, i) => blobs.put(frameOf("part", 100 + i))),
    );
    const reads = names.map((name, i) => blobs.readRange(name, 99 + i, 1));
    expect((await Promise.all(reads)).map((part) => part?.length)).toEqual(names.map(() => 1));
    const late = names.map((name) => blobs.readRange(name, 0, 1));
    await Promise.all(names.slice(50).map((name) => blobs.delete(name)));
    const parts = await Promise.all(late);
    expect(parts.slice(0, 50).every((part) => part?.length === 1)).toBe(true);
    const gone = await Promise.all(names.slice(50).map((name) => blobs.readRange(name, 0, 1)));
    expect(gone.every((part) => part === undefined)).toBe(true);
  });

  test("all blobs are listed", async () => {
    const { blobs } = current();
    expect(await blobs.list()).toEqual([]);
    const other = await blobs.put(frameOf("other", 10));
    expect(await blobs.put(content)).toBe(sha256);
    expect((await blobs.list()).sort()).toEqual([sha256, other].sort());
    await blobs.delete(other);
    expect(await (await reopen()).blobs.list()).toEqual([sha256]);
  });

  test("a blob may be empty; a name that is no hash is refused", async () => {
    const { blobs } = current();
    const empty = await blobs.put(new Uint8Array(0));
    expect(await blobs.get(empty)).toEqual(new Uint8Array(0));
    for (const name of ["", "../../FORMAT", sha256.toUpperCase(), `${sha256}0`]) {
      expect(await codeOf(blobs.get(name))).toBe("INVALID_ARGUMENT");
      expect(await codeOf(blobs.has(name))).toBe("INVALID_ARGUMENT");
      expect(await codeOf(blobs.delete(name))).toBe("INVALID_ARGUMENT");
    }
  });
}
