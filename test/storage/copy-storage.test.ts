/** A copy holds what the original holds, at the same numbers, or it is no copy. */
import { expect, test } from "vitest";
import { copyStorage, NODE_RECORD, type Storage } from "../../src/storage/index.ts";
import { frameOf } from "./frames.ts";
import { acked, codeOf, collect, messageOf, openSmall, temporaryDirectory } from "./support.ts";

const text = (value: string): Uint8Array => new Uint8Array(Buffer.from(value));

async function filled(): Promise<Storage> {
  const storage = await openSmall(await temporaryDirectory());
  const identity = JSON.stringify({ incarnation: 7, partitions: 3 });
  await storage.records.put("agents/a", text("one"), 0);
  await storage.records.put(NODE_RECORD, text(identity), 0);
  await storage.records.put("zeta", text("last"), 0);
  for (let i = 0; i < 200; i++) await acked(storage, i % 2, frameOf(`f${i}`, 64 + 5 * i));
  await storage.log.trim(1, 60);
  for (const size of [0, 10, 100_000]) await storage.blobs.put(frameOf("blob", size));
  return storage;
}

test("log, records and blobs are there after a copy, frames at their numbers", async () => {
  const from = await filled();
  const directory = await temporaryDirectory();
  const to = await openSmall(directory);
  const parts = new Set<string>();
  const report = await copyStorage({ from, to, progress: (what) => parts.add(what) });
  expect(report).toMatchObject({ partitions: 3, records: 3, blobs: 3, blobBytes: 100_010 });
  expect([...parts]).toEqual(["blobs", "partitions"]);
  await to.close();
  const copy = await openSmall(directory);
  for (const partition of [0, 1, 2]) {
    const frames = await collect(copy.log.scan(partition, 1));
    expect(frames).toEqual(await collect(from.log.scan(partition, 1)));
  }
  expect((await collect(copy.log.scan(1, 1)))[0]!.sequence).toBeGreaterThan(1);
  expect(await copy.log.append(1, 100, text("on"), 1)).toEqual({ kind: "acked", sequence: 101 });
  const valueOf = ({ key, value }: { key: string; value: Uint8Array }) => [key, value];
  const records = (await copy.records.list("")).map(valueOf);
  expect(records).toEqual((await from.records.list("")).map(valueOf));
  expect((await copy.blobs.list()).sort()).toEqual((await from.blobs.list()).sort());
});

test("a target that holds something is refused, and so is a source that holds nothing", async () => {
  const from = await filled();
  const to = await openSmall(await temporaryDirectory());
  expect(await messageOf(copyStorage({ from: to, to: from }))).toContain("no node's data");
  await acked(to, 1, frameOf("here", 64));
  const refused = await messageOf(copyStorage({ from, to }));
  expect(refused).toContain("not empty: 1 frames in partition 1");
  expect(await to.records.list("")).toEqual([]);
});

test("a source that grows meanwhile is found out, and the target has no identity", async () => {
  const from = await filled();
  const to = await openSmall(await temporaryDirectory());
  const progress = (what: string): void => {
    if (what === "partitions") void acked(from, 0, frameOf("late", 64));
  };
  expect(await codeOf(copyStorage({ from, to, progress }))).toBe("STORAGE_FAILED");
  expect(await to.records.get(NODE_RECORD)).toBeUndefined();
});

test("a target that gives back something else is found out", async () => {
  const from = await filled();
  const to = await openSmall(await temporaryDirectory());
  const forgetful: Storage = {
    ...to,
    log: Object.assign(Object.create(to.log) as typeof to.log, {
      append: (partition: number, expected: number, frame: Uint8Array, epoch: number) => {
        const given = expected === 99 ? frameOf("other", frame.length) : frame;
        return to.log.append(partition, expected, given, epoch);
      },
      lastSequence: to.log.lastSequence.bind(to.log),
      beginAt: to.log.beginAt.bind(to.log),
      scan: to.log.scan.bind(to.log),
    }),
  };
  const copying = copyStorage({ from, to: forgetful });
  expect(await messageOf(copying)).toBe(
    "The copy is not right: partition 0 is not what was written.",
  );
});
