/** `npm start`: the demonstration as a person or a script runs it. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, describe, expect, test } from "vitest";
import { differences } from "../../examples/wordcount/counts.ts";
import { Feeder } from "../../examples/wordcount/feeder.ts";

const ROOT = join(import.meta.dirname, "../..");
const KEYS = [
  "counts",
  "sent",
  "handled",
  "replayed",
  "kills",
  "acked_before_kill",
  "resumed_from",
  "awaits_open_at_kill",
  "exact",
];

interface Result {
  readonly counts: Record<string, number>;
  readonly sent: number;
  readonly handled: number;
  readonly replayed: number;
  readonly kills: number;
  readonly acked_before_kill: number;
  readonly resumed_from: number;
  readonly awaits_open_at_kill: number;
  readonly exact: boolean;
}

const scratch = mkdtempSync(join(tmpdir(), "caxton-demo-test-"));
const children: ChildProcess[] = [];

afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(scratch, { recursive: true, force: true });
});

interface Demo {
  readonly pid: number;
  readonly kill: (signal: NodeJS.Signals) => void;
  readonly output: { stdout: string; stderr: string };
  readonly ended: Promise<number | null>;
  /** Resolves with the match when standard error holds it. */
  readonly says: (pattern: RegExp) => Promise<RegExpExecArray>;
}

function startDemo(...args: string[]): Demo {
  const child = spawn(
    process.execPath,
    ["--disable-wasm-trap-handler", join(ROOT, "examples/wordcount/demo.ts"), ...args],
    { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, INIT_CWD: scratch } },
  );
  children.push(child);
  const output = { stdout: "", stderr: "" };
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  child.stdout.on("data", (text) => (output.stdout += String(text)));
  child.stderr.on("data", (text) => (output.stderr += String(text)));
  const says = (pattern: RegExp): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const match = pattern.exec(output.stderr);
        if (match !== null) resolve(match);
      };
      child.stderr.on("data", look);
      void ended.then(() => reject(new Error(`ended without ${pattern.source}: ${output.stderr}`)));
      look();
    });
  return { pid: child.pid!, kill: (signal) => child.kill(signal), output, ended, says };
}

function write(name: string, content: string | Uint8Array): string {
  writeFileSync(join(scratch, name), content);
  return name;
}

/** Ends when the process is gone, however long its parent takes to notice. */
async function gone(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await sleep(20);
  }
}

const folderOf = (pid: number): string => join(ROOT, `.caxton/wordcount-${pid}`);

describe.concurrent("counts every word through a kill", { timeout: 120_000 }, () => {
  async function resultOf(input: string, ...args: string[]): Promise<Result> {
    const demo = startDemo("--once", "--json", "--input", input, ...args);
    expect(await demo.ended, demo.output.stderr).toBe(0);
    const result = JSON.parse(demo.output.stdout.trimEnd().split("\n").at(-1)!) as Result;
    expect(Object.keys(result)).toEqual(KEYS);
    expect(result.kills).toBe(args.includes("jetstream") ? 2 : 1);
    expect(result.exact).toBe(true);
    expect(existsSync(folderOf(demo.pid))).toBe(false);
    return result;
  }

  test("of a text", async () => {
    const words = Array.from({ length: 1500 }, (_, i) => `W${(i % 97).toString(2)}`.repeat(2));
    const text = words.join(", ").replaceAll("0", "o").replaceAll("1", "\u212A");
    const expected: Record<string, number> = {};
    for (const word of text.toLowerCase().split(", ")) expected[word] = (expected[word] ?? 0) + 1;
    const result = await resultOf(write("text.txt", text));
    expect(result.counts).toEqual(expected);
    const { sent, acked_before_kill: acked, resumed_from: resumedFrom } = result;
    expect(sent).toBeGreaterThan(90);
    expect(acked).toBeGreaterThanOrEqual(0.2 * sent);
    expect(acked).toBeLessThanOrEqual(0.8 * sent);
    expect(resumedFrom).toBeLessThanOrEqual(acked);
    expect(result.handled).toBeGreaterThan(sent);
    expect(result.replayed).toBeGreaterThan(0);
    expect(result.awaits_open_at_kill).toBeGreaterThan(0);
  });

  test("of a text, with everything on a nats-server of the node's own", async () => {
    const text = "to be or not to be ".repeat(40);
    const result = await resultOf(write("nats.txt", text), "--storage", "jetstream");
    expect(result.counts).toEqual({ to: 80, be: 80, or: 40, not: 40 });
    expect(result.resumed_from).toBeLessThanOrEqual(result.acked_before_kill);
  });

  test("of one word", async () => {
    const result = await resultOf(write("one.txt", "Caxton\n"));
    expect(result.counts).toEqual({ caxton: 1 });
    expect(result.sent).toBe(1);
    expect(result.awaits_open_at_kill).toBe(1);
  });

  test("of bytes that hold no word", async () => {
    const result = await resultOf(write("none.bin", Uint8Array.of(0x31, 0xff, 0xfe, 0x0a)));
    expect(result).toMatchObject({ counts: {}, sent: 0, handled: 0, awaits_open_at_kill: 0 });
  });
});

describe("ends", () => {
  test.each(["SIGINT", "SIGTERM"] as const)(
    "at once with %s, node and data too",
    async (signal) => {
      const demo = startDemo("--input", write("word.txt", "word"));
      const [, node] = await demo.says(/node (\d+) on/);
      demo.kill(signal);
      demo.kill(signal);
      expect(await demo.ended).toBe(130);
      await gone(Number(node));
      expect(existsSync(folderOf(demo.pid))).toBe(false);
    },
  );

  test("without a word, and the next run removes what is left", async () => {
    const demo = startDemo("--input", write("word.txt", "word"));
    const [, node] = await demo.says(/node (\d+) on/);
    demo.kill("SIGKILL");
    await demo.ended;
    await gone(Number(node));
    const next = startDemo("--once", "--input", "no-such-file.txt");
    expect(await next.ended).toBe(1);
    expect(next.output.stderr).toContain("no-such-file.txt");
    expect(existsSync(folderOf(demo.pid))).toBe(false);
  });

  test.each([["--bogus"], ["--port", "70000"], ["--storage", "sqlite"]])(
    "with the usage for %s",
    async (...args) => {
      const demo = startDemo(...args);
      expect(await demo.ended).toBe(2);
      expect(demo.output.stderr).toContain("Usage: npm start");
    },
  );
});

describe("the feeder", () => {
  const facts = { pending: 0, handled: 0, replayed: 0, recovered: 0, deadLetters: 0 };

  test("sends again what was not acknowledged, with the same ids, and nothing else", async () => {
    const messages = Array.from({ length: 200 }, (_, i) => `text ${i}`);
    const acknowledged = new Map<string, string>();
    const attempts: string[] = [];
    let refuse = false;
    const inlet = {
      facts: async () => facts,
      send: async (_receiver: string, id: string, text: string) => {
        attempts.push(id);
        // Answers come in any order.
        for (let i = attempts.length % 7; i > 0; i--) await Promise.resolve();
        if (refuse) throw new Error("gone");
        expect(acknowledged.has(id)).toBe(false);
        acknowledged.set(id, text);
      },
    };
    const feeder = new Feeder(["default/x/y", "default/x/z"], messages);
    const failure = await feeder.feed(inlet, 150, () => (refuse = acknowledged.size >= 70));
    expect(failure?.message).toBe("gone");
    expect(feeder.acked).toBe(acknowledged.size);
    expect(feeder.position).toBeLessThanOrEqual(feeder.acked);
    const first = attempts.splice(0);
    refuse = false;
    expect(await feeder.feed(inlet, 200, () => undefined)).toBeUndefined();
    expect(feeder.position).toBe(200);
    expect([...acknowledged.values()].sort()).toEqual([...messages].sort());
    expect(first.length + attempts.length).toBeGreaterThan(200);
    expect(first.length).toBeLessThanOrEqual(150);
  });
});

test("differences are words that are missing, too many or miscounted", () => {
  const text = new Map([
    ["a", 1],
    ["b", 2],
    ["c", 3],
  ]);
  expect(differences(text, text)).toEqual([]);
  const found = new Map([
    ["a", 1],
    ["b", 3],
    ["d", 1],
  ]);
  expect(differences(found, text)).toEqual([
    "b: 3, in the text 2",
    "c: 0, in the text 3",
    "d: 1, in the text none",
  ]);
});
