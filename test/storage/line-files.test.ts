import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { LineFiles } from "../../src/storage/index.ts";

let directory: string;
let lost: number;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "caxton-lines-"));
  lost = 0;
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function open(bytesMax = 1000, totalBytesMax = 1_000_000): Promise<LineFiles> {
  const count = (lines: number) => void (lost += lines);
  return LineFiles.open({ directory, bytesMax, totalBytesMax, lost: count });
}

function bytesOnDisk(): number {
  return readdirSync(directory).reduce(
    (sum, file) => sum + statSync(join(directory, file)).size,
    0,
  );
}

const numbered = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => `line ${String(from + i).padStart(4, "0")}`);

async function append(files: LineFiles, name: string, lines: readonly string[]): Promise<void> {
  for (const line of lines) files.append(name, line);
  await files.close();
}

test("lines are there in order after another start", async () => {
  const files = await open();
  await append(files, "default/a", numbered(0, 10));
  await append(files, "default/a", numbered(10, 20));
  const again = await open();
  expect(again.names).toEqual(["default/a"]);
  expect(again.read("default/a")).toEqual(numbered(0, 20));
  expect(again.read("default/b")).toEqual([]);
});

test.each([
  ["in one piece", 500],
  ["one by one", 1],
])("the newest stay, half of the bound at least, however they come: %s", async (_, at) => {
  const files = await open();
  const all = numbered(0, 500);
  for (let i = 0; i < all.length; i += at) {
    await append(files, "default/a", all.slice(i, i + at));
    expect(bytesOnDisk()).toBeLessThanOrEqual(1000);
  }
  const kept = (await open()).read("default/a");
  expect(kept).toEqual(all.slice(-kept.length));
  expect(kept.length).toBeGreaterThanOrEqual(50);
});

test("of all names together those not written for longest go", async () => {
  const files = await open(1000, 2000);
  await append(files, "default/a", numbered(0, 80));
  await append(files, "default/b", numbered(0, 80));
  await append(files, "default/a", numbered(80, 90));
  await append(files, "default/c", numbered(0, 80));
  expect(files.names).toEqual(["default/a", "default/c"]);
  expect(bytesOnDisk()).toBeLessThanOrEqual(2000);
  expect((await open()).read("default/b")).toEqual([]);
});

test("a torn line at the end costs only itself", async () => {
  await append(await open(), "default/a", ["one", "two"]);
  appendFileSync(join(directory, "default.a.jsonl"), "thr");
  const again = await open();
  await append(again, "default/a", ["four"]);
  expect((await open()).read("default/a")).toEqual(["one", "two", "thr", "four"]);
});

test("a name that is removed leaves nothing, though lines of it were on their way", async () => {
  const files = await open();
  await append(files, "default/a", ["one"]);
  files.append("default/a", "two");
  files.remove("default/a");
  files.append("default/b", "three");
  await files.close();
  expect(readdirSync(directory)).toEqual(["default.b.jsonl"]);
  expect(lost).toBe(0);
});

test("what the disk does not take is counted and holds nobody up", async () => {
  const files = await open();
  rmSync(directory, { recursive: true });
  await append(files, "default/a", ["one", "two"]);
  expect(lost).toBe(2);
  const line = "x".repeat(1024 * 1024);
  for (let i = 0; i < 10; i++) files.append("default/a", line);
  expect(lost).toBe(5);
  await files.close();
});

test("files of others are left alone", async () => {
  writeFileSync(join(directory, "README"), "mine");
  const files = await open();
  expect(files.names).toEqual([]);
  await append(files, "default/a", ["one"]);
  expect(readFileSync(join(directory, "README"), "utf8")).toBe("mine");
});
