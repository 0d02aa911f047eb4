/** Commits are written in whole sectors, past the page cache where the file system allows it. */
import { expect, test } from "vitest";
import { type FileSystem, nodeFileSystem } from "../../src/storage/embedded/file-system.ts";
import type { Storage } from "../../src/storage/index.ts";
import { frameOf } from "./frames.ts";
import { acked, collect, openSmall, systemError, temporaryDirectory } from "./support.ts";

const MB = 1024 * 1024;
const LARGE = { segmentBytes: 16 * MB, sizeBytesMax: 64 * MB };

/** A disk that knows no direct writes; notes the flags that files are opened with. */
function fileSystemWithout(refusing: "open" | "read", opened: string[] = []): FileSystem {
  const direct = new Set<number>();
  return {
    ...nodeFileSystem,
    open: async (path, flags) => {
      if (flags === "direct" && refusing === "open") throw systemError("EINVAL");
      const fd = await nodeFileSystem.open(path, flags);
      if (flags === "direct") direct.add(fd);
      else direct.delete(fd);
      opened.push(flags);
      return fd;
    },
    read: (fd, into, position) =>
      direct.has(fd)
        ? Promise.reject(systemError("EINVAL"))
        : nodeFileSystem.read(fd, into, position),
  };
}

async function framesOf(storage: Storage): Promise<Buffer[]> {
  return (await collect(storage.log.scan(0, 1))).map(({ frame }) => Buffer.from(frame));
}

test("a commit may be larger than what is written at a time", async () => {
  const directory = await temporaryDirectory();
  const frames = [3.5, 0.75, 4, 0.001, 1.2].map((size, i) => frameOf(`f${i}`, size * MB));
  const storage = await openSmall(directory, LARGE);
  const before = storage.log.usage().commits;
  await Promise.all(frames.map((frame, i) => storage.log.append(0, i, frame, 1)));
  expect(storage.log.usage().commits - before).toBe(1);
  await storage.close();
  const found = await framesOf(await openSmall(directory, LARGE));
  expect(found.map((frame) => frame.length)).toEqual(frames.map((frame) => frame.length));
  expect(found.every((frame, i) => frame.equals(frames[i]!))).toBe(true);
});

test.each(["open", "read"] as const)(
  "a file system that refuses direct files at %s is written through the page cache",
  async (refusing) => {
    const directory = await temporaryDirectory();
    const frames = Array.from({ length: 90 }, (_, i) => frameOf(`f${i}`, 37 * i));
    // What one way wrote the other reads and goes on with.
    for (const [from, fileSystem] of [
      [0, nodeFileSystem],
      [30, fileSystemWithout(refusing)],
      [60, nodeFileSystem],
    ] as const) {
      const storage = await openSmall(directory, { fileSystem });
      for (const frame of frames.slice(from, from + 30)) await acked(storage, 0, frame);
      const found = await framesOf(storage);
      expect(found.every((frame, i) => frame.equals(frames[i]!))).toBe(true);
      expect(found).toHaveLength(from + 30);
      await storage.close();
    }
  },
);

test("nothing stays open for direct writing where that is refused", async () => {
  const opened: string[] = [];
  const fileSystem = fileSystemWithout("read", opened);
  const storage = await openSmall(await temporaryDirectory(), { fileSystem });
  for (let i = 0; i < 20; i++) await acked(storage, 0, frameOf("f", 4_000));
  expect(opened.filter((flags) => flags === "direct")).toHaveLength(1);
});
