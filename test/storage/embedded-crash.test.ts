/** Real processes: killed while writing, kept out by the lock, counted by strace. */
import { type ChildProcessByStdio, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { expect, onTestFinished, test } from "vitest";
import { frameOf } from "./frames.ts";
import { codeOf, collect, messageOf, openSmall, temporaryDirectory } from "./support.ts";

type Child = ChildProcessByStdio<null, Readable, null>;

const APPENDER = join(import.meta.dirname, "appender/main.ts");
const OPTIONS = { segmentBytes: 64 * 1024, sizeBytesMax: 16 * 64 * 1024 };

function start(command: string, args: readonly string[]): Child {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  return child;
}

/** Kills the process after so many lines; gives all it said. */
async function killAfter(child: Child, lines: number): Promise<string[]> {
  const said: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    said.push(line);
    if (said.length === lines) child.kill("SIGKILL");
  }
  return said;
}

test("nothing acknowledged is lost when the process is killed, again and again", async () => {
  const directory = join(await temporaryDirectory(), "data");
  const last = [0, 0, 0];
  for (const lines of [1, 40, 150, 400, 90]) {
    const said = await killAfter(start(process.execPath, [APPENDER, directory]), lines);
    expect(said.length).toBeGreaterThanOrEqual(lines);
    for (const line of said.slice(1)) {
      const [partition, sequence] = line.split(" ").map(Number);
      last[partition!] = sequence!;
    }
    const storage = await openSmall(directory, OPTIONS);
    expect(storage.opening).toMatchObject({ clean: false, created: false });
    for (const [partition, acked] of last.entries()) {
      const records = await collect(storage.log.scan(partition, 1));
      const newest = records.at(-1)?.sequence ?? 0;
      // One frame of a partition is in flight at a time.
      expect([acked, acked + 1]).toContain(newest);
      last[partition] = newest;
      records.forEach(({ sequence, frame }) => {
        const expected = frameOf(`${partition} ${sequence}`, 100 + ((sequence * 379) % 5_000));
        expect(Buffer.compare(frame, expected)).toBe(0);
      });
    }
    await storage.close();
  }
  expect(Math.min(...last)).toBeGreaterThan(80);
}, 90_000);

test("a directory in use by another process is refused until that process ends", async () => {
  const directory = join(await temporaryDirectory(), "data");
  const child = start(process.execPath, [APPENDER, directory]);
  await once(createInterface({ input: child.stdout }), "line");
  expect(await codeOf(openSmall(directory, OPTIONS))).toBe("STORAGE_LOCKED");
  expect(await messageOf(openSmall(directory, OPTIONS))).toContain(directory);
  child.kill("SIGKILL");
  await once(child, "close");
  expect((await openSmall(directory, OPTIONS)).opening.clean).toBe(false);
});

test("a directory in use by this process is refused until it is closed", async () => {
  const directory = await temporaryDirectory();
  const storage = await openSmall(directory);
  expect(await codeOf(openSmall(directory))).toBe("STORAGE_LOCKED");
  await storage.close();
  expect((await openSmall(directory)).opening.clean).toBe(true);
});

const strace = spawnSync("strace", ["-f", "-o", "/dev/null", "true"]).status === 0;
if (!strace) process.stderr.write("SKIPPED: strace does not run here, syncs are not counted\n");

test.skipIf(!strace)(
  "every commit is synced, between its write and its acknowledgement",
  async () => {
    const directory = join(await temporaryDirectory(), "data");
    const trace = join(await temporaryDirectory(), "trace");
    const commits = 25;
    const calls = "trace=fdatasync,pwrite64,write";
    const child = start("strace", [
      ...["-f", "-y", "-o", trace, "-e", calls],
      ...[process.execPath, APPENDER, directory, String(commits)],
    ]);
    child.stdout.resume();
    const [code] = (await once(child, "close")) as [number];
    expect(code).toBe(0);
    let written: string | undefined;
    let synced = false;
    let acks = 0;
    for (const { name, text } of completedCalls(await readFile(trace, "utf8"))) {
      const segment = /\d<[^>]*\/(\d+\.segment)>/.exec(text)?.[1];
      // Zeros are written ahead of need as well; a commit begins with its mark.
      if (name === "pwrite64" && text.includes('"CXCM')) {
        written = segment;
        synced = false;
      } else if (name === "fdatasync" && segment === written) synced ||= text.endsWith("= 0");
      else if (name === "write" && /^write\(1<.*"0 \d+\\n"/.test(text)) {
        acks += 1;
        expect(synced).toBe(true);
        written = undefined;
        synced = false;
      }
    }
    expect(acks).toBe(commits);
  },
);

/** The calls of a trace, in the order they ended. A call during which others end has two lines. */
function completedCalls(trace: string): { name: string; text: string }[] {
  const begun = new Map<string, string>();
  return trace.split("\n").flatMap((line) => {
    const [, pid = "", rest = ""] = /^(\d+) +(.*)$/.exec(line) ?? [];
    if (rest.endsWith("<unfinished ...>")) {
      begun.set(pid, rest.slice(0, -"<unfinished ...>".length));
      return [];
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest);
    const text = resumed === null ? rest : `${begun.get(pid) ?? ""}${resumed[1] ?? ""}`;
    const name = /^\w+(?=\()/.exec(text)?.[0];
    return name === undefined ? [] : [{ name, text }];
  });
}
