/** What opening makes of a damaged log: a torn tail is cut, anything else is refused untouched. */
import { copyFile, cp, readdir, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { nodeFileSystem } from "../../src/storage/embedded/file-system.ts";
import { recoverLog } from "../../src/storage/embedded/log-recovery.ts";
import { frameOf } from "./frames.ts";
import {
  acked,
  codeOf,
  collect,
  fingerprint,
  messageOf,
  openSmall,
  SMALL_SEGMENT_BYTES,
  temporaryDirectory,
} from "./support.ts";

const SEGMENT = "log/0000000001.segment";
const COMMITS = 6;
/** Two sectors, so that either can be lost. */
const FRAME_BYTES = 700;
const COMMIT_BYTES = 1_024;
/** Header, one table entry, frame. */
const USED_BYTES = 40 + 24 + FRAME_BYTES;
const commitAt = (number: number): number => 512 + (number - 1) * COMMIT_BYTES;

/** The directory of a server that was killed after six commits of one frame each. */
async function killedDirectory(): Promise<string> {
  const directory = await temporaryDirectory();
  const living = join(directory, "living");
  const storage = await openSmall(living);
  for (let i = 1; i <= COMMITS; i++) await acked(storage, 0, frameOf(`f${i}`, FRAME_BYTES));
  const killed = join(directory, "killed");
  await cp(living, killed, { recursive: true });
  await storage.close();
  return killed;
}

async function stoppedDirectory(): Promise<string> {
  const directory = await temporaryDirectory();
  const storage = await openSmall(directory);
  for (let i = 1; i <= COMMITS; i++) await acked(storage, 0, frameOf(`f${i}`, FRAME_BYTES));
  await storage.close();
  return directory;
}

async function flipBit(path: string, position: number, bit = 0): Promise<void> {
  const content = await readFile(path);
  content[position]! ^= 1 << bit;
  await writeFile(path, content);
}

async function expectRefused(directory: string, text: RegExp): Promise<void> {
  const before = await fingerprint(directory);
  const opening = openSmall(directory);
  expect(await messageOf(opening)).toMatch(text);
  expect(await codeOf(opening)).toBe("STORAGE_CORRUPT");
  expect(await fingerprint(directory)).toEqual(before);
}

/** Opens, checks that exactly the first `commits` frames are there, and that the log goes on. */
async function expectFrames(directory: string, commits: number): Promise<number> {
  const storage = await openSmall(directory);
  const frames = (await collect(storage.log.scan(0, 1))).map(({ frame }) => Buffer.from(frame));
  expect(frames.length).toBe(commits);
  frames.forEach((frame, i) => expect(frame.equals(frameOf(`f${i + 1}`, FRAME_BYTES))).toBe(true));
  expect(await acked(storage, 0, frameOf("on", 100))).toBe(commits + 1);
  await storage.close();
  return storage.opening.tornBytesCut;
}

describe("a torn tail", () => {
  test("is recognised wherever the last write stopped", async () => {
    const directory = await killedDirectory();
    const path = join(directory, SEGMENT);
    const whole = await readFile(path);
    const from = commitAt(COMMITS);
    for (let kept = 0; kept < USED_BYTES; kept++) {
      const torn = Buffer.from(whole).fill(0, from + kept);
      if (torn.equals(whole)) continue; // The byte that was lost is a zero anyway.
      await writeFile(path, torn);
      const recovered = await recoverLog(nodeFileSystem, join(directory, "log"));
      expect(recovered.end).toMatchObject({ commit: COMMITS - 1, position: from });
      // Zeros at the end of what was written can't be told from zeros never overwritten.
      let last = kept;
      while (last > 0 && torn[from + last - 1] === 0) last -= 1;
      const expected = last === 0 ? undefined : { segment: 1, from, to: from + last };
      expect(recovered.torn).toEqual(expected);
    }
  }, 90_000);

  test("is cut wherever the last write stopped, and the log goes on", async () => {
    const directory = await killedDirectory();
    const path = join(directory, SEGMENT);
    const whole = await readFile(path);
    for (let kept = 1; kept < USED_BYTES; kept += 97) {
      await writeFile(path, Buffer.from(whole).fill(0, commitAt(COMMITS) + kept));
      await rm(join(directory, "CLEAN"), { force: true });
      expect(await expectFrames(directory, COMMITS - 1)).toBeGreaterThan(0);
    }
  });

  test("is cut whatever sectors of the last write arrived", async () => {
    const directory = await killedDirectory();
    const path = join(directory, SEGMENT);
    const whole = await readFile(path);
    for (const lost of [[0], [1]]) {
      const torn = Buffer.from(whole);
      for (const sector of lost) {
        const at = commitAt(COMMITS) + sector * 512;
        torn.fill(0, at, at + 512);
      }
      await writeFile(path, torn);
      await rm(join(directory, "CLEAN"), { force: true });
      expect(await expectFrames(directory, COMMITS - 1)).toBeGreaterThan(0);
    }
  });

  test("is cut when the file itself is shorter, and the file is filled up again", async () => {
    const directory = await killedDirectory();
    await truncate(join(directory, SEGMENT), commitAt(COMMITS) + 500);
    expect(await expectFrames(directory, COMMITS - 1)).toBe(500);
    expect((await readFile(join(directory, SEGMENT))).length).toBe(SMALL_SEGMENT_BYTES);
  });

  test("is cut for good: the second start reports nothing", async () => {
    const directory = await killedDirectory();
    await flipBit(join(directory, SEGMENT), commitAt(COMMITS) + 100);
    const storage = await openSmall(directory);
    expect(storage.opening.clean).toBe(false);
    expect(storage.opening.tornBytesCut).toBeGreaterThan(0);
    const copy = join(await temporaryDirectory(), "copy");
    await cp(directory, copy, { recursive: true });
    expect((await openSmall(copy)).opening).toEqual({
      clean: false,
      created: false,
      tornBytesCut: 0,
    });
  });

  test("may be the first commit of a segment", async () => {
    const directory = await temporaryDirectory();
    const storage = await openSmall(join(directory, "living"));
    // The second does not fit into what the first leaves.
    for (const i of [1, 2]) await acked(storage, 0, frameOf(`f${i}`, 10_000));
    const killed = join(directory, "killed");
    await cp(join(directory, "living"), killed, { recursive: true });
    await flipBit(join(killed, "log/0000000002.segment"), 512 + 9_000);
    const reopened = await openSmall(killed);
    expect(reopened.opening.tornBytesCut).toBeGreaterThan(9_000);
    expect(await reopened.log.lastSequence(0)).toBe(1);
    for (const i of [2, 3, 4]) await acked(reopened, 0, frameOf(`f${i}`, 10_000));
    await reopened.close();
    expect(await collect((await openSmall(killed)).log.scan(0, 1))).toHaveLength(4);
  });
});

describe("damage that is not a torn tail", () => {
  test("a flipped bit anywhere before the last commit is refused", async () => {
    const directory = await killedDirectory();
    const path = join(directory, SEGMENT);
    const whole = await readFile(path);
    // Every byte of one head, then samples over everything up to the last commit.
    const positions = Array.from({ length: 64 }, (_, i) => commitAt(3) + i);
    for (let at = 3; at < commitAt(COMMITS); at += 61) positions.push(at);
    for (const position of positions) {
      const commit = Math.floor((position - 512) / COMMIT_BYTES) + 1;
      // Padding belongs to nobody.
      if (position >= 512 && position - commitAt(commit) >= USED_BYTES) continue;
      await writeFile(path, whole);
      await flipBit(path, position, position % 8);
      const opening = openSmall(directory);
      const at = position < 512 ? 0 : commitAt(commit);
      expect(await messageOf(opening)).toContain(`${SEGMENT} at byte ${at}:`);
      expect(await codeOf(opening)).toBe("STORAGE_CORRUPT");
    }
  });

  test("it is refused without changing anything", async () => {
    const directory = await killedDirectory();
    await flipBit(join(directory, SEGMENT), commitAt(2) + 500);
    await expectRefused(directory, /0000000001\.segment at byte 1536: .*commit 3 follows at 2560/);
  });

  test("a commit that is all zeros with commits after it is refused", async () => {
    const directory = await killedDirectory();
    const path = join(directory, SEGMENT);
    const content = await readFile(path);
    await writeFile(path, content.fill(0, commitAt(4), commitAt(5)));
    await expectRefused(directory, /at byte 3584: damaged, though commit 5 follows/);
  });

  test("commits in the wrong place are refused", async () => {
    const directory = await killedDirectory();
    const path = join(directory, SEGMENT);
    const content = await readFile(path);
    content.copy(content, commitAt(3), commitAt(4), commitAt(5));
    await writeFile(path, content);
    await expectRefused(directory, /at byte 2560: expected commit 3, found commit 4/);
  });

  test("after a clean stop even a damaged or missing last commit is refused", async () => {
    const directory = await stoppedDirectory();
    const path = join(directory, SEGMENT);
    const whole = await readFile(path);
    await flipBit(path, commitAt(COMMITS) + 600);
    await expectRefused(directory, /stopped at commit 6, the log ends at 5/);
    await writeFile(path, Buffer.from(whole).fill(0, commitAt(COMMITS)));
    await expectRefused(directory, /stopped at commit 6, the log ends at 5/);
    await writeFile(path, whole);
    expect(await expectFrames(directory, COMMITS)).toBe(0);
  });

  test("a damaged clean-stop mark is refused", async () => {
    const directory = await stoppedDirectory();
    await writeFile(join(directory, "CLEAN"), "commit 6");
    await expectRefused(directory, /CLEAN at byte 0/);
  });

  test("bytes of another log do not pass for commits", async () => {
    const directory = await killedDirectory();
    const other = await killedDirectory();
    const path = join(directory, SEGMENT);
    const content = await readFile(path);
    const foreign = await readFile(join(other, SEGMENT));
    foreign.copy(content, commitAt(COMMITS) + COMMIT_BYTES, commitAt(2), commitAt(5));
    await writeFile(path, content);
    expect(await expectFrames(directory, COMMITS)).toBe(2 * COMMIT_BYTES + USED_BYTES);
  });
});

describe("segments", () => {
  /** Enough frames for several segments, trimmed or not, as a killed server leaves them. */
  async function severalSegments(trimBelow?: number): Promise<string> {
    const directory = await temporaryDirectory();
    const storage = await openSmall(join(directory, "living"));
    for (let i = 1; i <= 30; i++) await acked(storage, 0, frameOf(`f${i}`, 3_000));
    if (trimBelow !== undefined) await storage.log.trim(0, trimBelow);
    const killed = join(directory, "killed");
    await cp(join(directory, "living"), killed, { recursive: true });
    return killed;
  }

  test.each([
    ["of a whole log", undefined],
    ["of a trimmed log", 15],
  ])("each that is missing is noticed, %s", async (_, trimBelow) => {
    const directory = await severalSegments(trimBelow);
    const names = await readdir(join(directory, "log"));
    const marker = names.find((name) => name.endsWith(".trimmed"))!.replace("trimmed", "segment");
    // Up to the marker: trimmed, waiting for reuse. The last two: prepared, and a mere name.
    const withData = names
      .filter((name) => name.endsWith(".segment") && name > marker)
      .slice(0, -2);
    expect(withData.length).toBeGreaterThan(2);
    for (const name of withData) {
      const path = join(directory, "log", name);
      await rename(path, join(directory, "aside"));
      await expectRefused(directory, new RegExp(`${name} at byte 0: missing`));
      await rename(join(directory, "aside"), path);
    }
    expect(await (await openSmall(directory)).log.lastSequence(0)).toBe(30);
  });

  test("a segment in another's place is refused", async () => {
    const directory = await severalSegments();
    const [first, second] = (await readdir(join(directory, "log"))).filter((name) =>
      name.endsWith("segment"),
    );
    await copyFile(join(directory, "log", first!), join(directory, "log", second!));
    await expectRefused(
      directory,
      /0000000002\.segment at byte 0: the header is that of segment 1/,
    );
  });

  test("a log cut off in an older segment is refused", async () => {
    const directory = await severalSegments();
    await truncate(join(directory, "log/0000000002.segment"), 6_000);
    await expectRefused(directory, /0000000002\.segment at byte 3584: damaged|expected commit/);
  });

  test("a missing marker or FORMAT is refused when there is data", async () => {
    const directory = await severalSegments();
    await rename(join(directory, "log/0000000000.trimmed"), join(directory, "aside"));
    await expectRefused(directory, /0 markers/);
    await rename(join(directory, "aside"), join(directory, "log/0000000000.trimmed"));
    await rm(join(directory, "FORMAT"));
    await expectRefused(directory, /FORMAT at byte 0: missing/);
  });
});

describe("records and blobs", () => {
  test("a flipped bit in a blob is reported with its file", async () => {
    const storage = await openSmall(await temporaryDirectory());
    const directory = await temporaryDirectory();
    const other = await openSmall(directory);
    const sha256 = await other.blobs.put(frameOf("blob", 5_000));
    const path = join(directory, "blobs", sha256.slice(0, 2), sha256);
    await flipBit(path, 2_500);
    expect(await codeOf(other.blobs.get(sha256))).toBe("STORAGE_CORRUPT");
    expect(await messageOf(other.blobs.get(sha256))).toContain(path);
    expect(await storage.blobs.get(sha256)).toBeUndefined();
  });

  test("no flipped bit in the records changes a value or loses one unnoticed", async () => {
    const directory = await temporaryDirectory();
    const storage = await openSmall(join(directory, "living"));
    for (let i = 0; i < 10; i++) await storage.records.put(`key ${i}`, frameOf(`v${i}`, 600), 0);
    const killed = join(directory, "killed");
    await cp(join(directory, "living"), killed, { recursive: true });
    let refused = 0;
    for (const file of ["records.db", "records.db-wal"]) {
      const whole = await readFile(join(killed, file));
      for (let position = 11; position < whole.length; position += 997) {
        const copy = join(directory, `copy-${file}-${position}`);
        await cp(killed, copy, { recursive: true });
        await flipBit(join(copy, file), position, position % 8);
        const opening = openSmall(copy, { sizeBytesMax: 8 * SMALL_SEGMENT_BYTES });
        const code = await codeOf(opening);
        if (code === "resolved") {
          const reopened = await opening;
          const records = await reopened.records.list("key ");
          expect(records.map(({ value }) => Buffer.from(value))).toEqual(
            Array.from({ length: 10 }, (_, i) => Buffer.from(frameOf(`v${i}`, 600))),
          );
          await reopened.close();
        } else {
          expect(code).toBe("STORAGE_CORRUPT");
          refused += 1;
        }
        await rm(copy, { recursive: true });
      }
    }
    expect(refused).toBeGreaterThan(0);
  }, 90_000);

  test("a missing records file is refused", async () => {
    const directory = await stoppedDirectory();
    await rm(join(directory, "records.db"));
    await expectRefused(directory, /records\.db at byte 0: missing/);
  });
});
