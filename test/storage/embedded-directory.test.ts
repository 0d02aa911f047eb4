/** Making, recognising and refusing data directories. */
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  acked,
  codeOf,
  collect,
  failingFileSystem,
  fingerprint,
  messageOf,
  openSmall,
  systemError,
  temporaryDirectory,
} from "./support.ts";
import { frameOf } from "./frames.ts";

test("a new directory is made, with the levels above it", async () => {
  const directory = join(await temporaryDirectory(), "a", "b", "data");
  const storage = await openSmall(directory);
  expect(storage.opening).toEqual({ clean: true, created: true, tornBytesCut: 0 });
  expect(await readFile(join(directory, "FORMAT"), "utf8")).toBe("caxton-data 1 embedded\n");
  expect(await readdir(directory)).not.toContain("CLEAN");
  await storage.close();
  expect(await readdir(directory)).toContain("CLEAN");
});

test("a crash at any moment of making a directory leaves one that opens", async () => {
  const makeUntil = async (diesAt: number): Promise<{ directory: string; calls: number }> => {
    const directory = join(await temporaryDirectory(), "data");
    let calls = 0;
    const fileSystem = failingFileSystem((call) => {
      calls = call.count;
      return call.count >= diesAt ? systemError("EIO") : undefined;
    });
    const opening = openSmall(directory, { fileSystem });
    if (diesAt === Infinity) await (await opening).close();
    else await opening.then((storage) => storage.close()).catch(() => undefined);
    return { directory, calls };
  };
  const { calls } = await makeUntil(Infinity);
  expect(calls).toBeGreaterThan(30);
  for (let diesAt = 1; diesAt <= calls; diesAt++) {
    const { directory } = await makeUntil(diesAt);
    const storage = await openSmall(directory);
    expect(await acked(storage, 0, frameOf("first", 100))).toBe(1);
    await storage.close();
  }
}, 90_000);

test("a directory of a newer format is refused untouched", async () => {
  const directory = await temporaryDirectory();
  await writeFile(join(directory, "FORMAT"), "caxton-data 2 embedded zstd\n");
  const before = await fingerprint(directory);
  const opening = openSmall(directory);
  expect(await codeOf(opening)).toBe("STORAGE_FORMAT_NEWER");
  expect(await messageOf(opening)).toContain("has format 2; this build reads 1");
  expect(await fingerprint(directory)).toEqual(before);
});

test.each(["", "garbage", "caxton-data 0 embedded\n", "caxton-data 1 other\n"])(
  "a FORMAT of %j is refused untouched",
  async (text) => {
    const directory = await temporaryDirectory();
    await (await openSmall(directory)).close();
    await writeFile(join(directory, "FORMAT"), text);
    const before = await fingerprint(directory);
    const opening = openSmall(directory);
    expect(await codeOf(opening)).toBe("STORAGE_CORRUPT");
    expect(await messageOf(opening)).toContain(join(directory, "FORMAT"));
    expect(await fingerprint(directory)).toEqual(before);
  },
);

test("a directory of something else is refused and kept", async () => {
  const directory = await temporaryDirectory();
  await writeFile(join(directory, "thesis.txt"), "years of work");
  const opening = openSmall(directory);
  expect(await codeOf(opening)).toBe("INVALID_CONFIG");
  expect(await messageOf(opening)).toContain("thesis.txt");
  expect(await readFile(join(directory, "thesis.txt"), "utf8")).toBe("years of work");
});

test("a place where no directory can be is refused with its name", async () => {
  const file = join(await temporaryDirectory(), "file");
  await writeFile(file, "");
  for (const directory of [file, join(file, "below")]) {
    const opening = openSmall(directory);
    expect(await codeOf(opening)).toBe("INVALID_CONFIG");
    expect(await messageOf(opening)).toContain(directory);
  }
});

test("a directory whose FORMAT is lost is not made anew over its data", async () => {
  const directory = await temporaryDirectory();
  const storage = await openSmall(join(directory, "living"));
  await storage.records.put("a", frameOf("a", 10), 0);
  await cp(join(directory, "living"), join(directory, "killed"), { recursive: true });
  await rm(join(directory, "killed", "FORMAT"));
  expect(await codeOf(openSmall(join(directory, "killed")))).toBe("STORAGE_CORRUPT");
  await rm(join(directory, "killed", "blobs"), { recursive: true });
  await writeFile(join(directory, "killed", "FORMAT"), "caxton-data 1 embedded\n");
  expect(await messageOf(openSmall(join(directory, "killed")))).toMatch(/blobs\/tmp .*missing/);
});

test("unfinished blobs are removed at the next start", async () => {
  const directory = await temporaryDirectory();
  await (await openSmall(directory)).close();
  await mkdir(join(directory, "blobs/tmp"), { recursive: true });
  await writeFile(join(directory, "blobs/tmp", "half"), "half");
  const storage = await openSmall(directory);
  expect(await readdir(join(directory, "blobs/tmp"))).toEqual([]);
  expect(await storage.blobs.put(frameOf("a", 10))).toHaveLength(64);
});

test("closing finishes what was asked, may be asked twice, and ends all writes", async () => {
  const directory = await temporaryDirectory();
  const storage = await openSmall(directory);
  const asked = [1, 2, 3].map((i) => storage.log.append(0, i - 1, frameOf(`f${i}`, 2_000), 1));
  await Promise.all([storage.close(), storage.close()]);
  expect(await Promise.all(asked.map(codeOf))).toEqual(["resolved", "resolved", "resolved"]);
  expect(await codeOf(storage.log.append(0, 3, frameOf("late", 1), 1))).toBe("NOT_READY");
  expect(await codeOf(storage.records.put("a", frameOf("late", 1), 0))).toBe("NOT_READY");
  expect(await codeOf(storage.blobs.put(frameOf("late", 1)))).toBe("NOT_READY");
  expect(await collect((await openSmall(directory)).log.scan(0, 1))).toHaveLength(3);
});

test("the size limit may change from start to start", async () => {
  const directory = await temporaryDirectory();
  const large = await openSmall(directory, { segmentBytes: 64 * 1024, sizeBytesMax: 1024 * 1024 });
  for (let i = 0; i < 10; i++) await acked(large, 0, frameOf(`f${i}`, 20_000));
  await large.close();
  const small = await openSmall(directory);
  expect(await codeOf(small.log.append(0, 10, frameOf("f10", 15_000), 1))).toBe("resolved");
  await small.close();
  const again = await openSmall(directory, { segmentBytes: 64 * 1024, sizeBytesMax: 1024 * 1024 });
  for (let i = 11; i < 20; i++) await acked(again, 0, frameOf(`f${i}`, 20_000));
  expect(await collect(again.log.scan(0, 1))).toHaveLength(20);
});

test("fault points are passed in order, the acknowledgement after the last", async () => {
  const passed: string[] = [];
  const faultPoint = (name: string): unknown => passed.push(name);
  const storage = await openSmall(await temporaryDirectory(), { faultPoint });
  await acked(storage, 0, frameOf("a", 10));
  passed.push("acknowledged");
  await storage.records.put("a", frameOf("a", 10), 0);
  expect(passed).toEqual([
    "log.before-append",
    "log.after-append-before-ack",
    "acknowledged",
    "records.before-put",
    "records.after-put",
  ]);
});
