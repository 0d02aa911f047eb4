/** The wordcount agents on a real kernel, against a count made here. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { counterAddress, countWords } from "../../examples/wordcount/splitter/words.ts";
import { cutChunks, wordsOnly } from "../../examples/wordcount/text.ts";
import { type DeploySource, type RunningKernel, startKernel } from "../../src/actors/index.ts";
import { loadConfig } from "../../src/base/config.ts";
import { openEmbeddedStorage, type Storage } from "../../src/storage/index.ts";
import { compileAgent, ROOT } from "./modules.ts";

const TALLY = "default/tally/default";

const directory = mkdtempSync(join(tmpdir(), "caxton-wordcount-"));
const config = loadConfig({
  sets: [`storage.directory=${directory}`, "workers.count=1", "partitions.count=4"],
});
let storage: Storage;
let kernel: RunningKernel;

const read = (file: string): string => readFileSync(join(ROOT, "examples/wordcount", file), "utf8");

function typeScript(agent: string, ...names: string[]): DeploySource {
  const files = new Map(names.map((name) => [name, read(`${agent}/${name}`)]));
  return { kind: "source", language: "typescript", files };
}

beforeAll(async () => {
  storage = await openEmbeddedStorage(config.storage);
  kernel = await startKernel({ storage, config, log: pino({ level: "silent" }) });
  const counter = await compileAgent("examples/wordcount/counter/assembly");
  const sources = {
    splitter: typeScript("splitter", "index.ts", "words.ts"),
    counter: { kind: "module", bytes: counter },
    tally: typeScript("tally", "index.ts"),
  } as const;
  for (const [agent, source] of Object.entries(sources)) {
    await kernel.agents.deploy({
      manifest: read(`${agent}/agent.yaml`),
      source,
      resetMemory: false,
    });
  }
});

afterAll(async () => {
  await kernel.stop();
  await storage.close();
  rmSync(directory, { recursive: true, force: true });
});

async function ask(receiver: string, text: string, performative = "request"): Promise<string> {
  const content = Buffer.from(text);
  const fields = { receiver, content, contentType: "text/plain", performative, timeoutMs: 30_000 };
  const { reply } = await kernel.messages.ask(fields);
  return Buffer.from(reply.content).toString();
}

interface Summary {
  readonly total: number;
  readonly top: readonly { readonly word: string; readonly count: number }[];
}

const summary = async (): Promise<Summary> =>
  JSON.parse(await ask(TALLY, "", "query-ref")) as Summary;

const countOf = async (word: string): Promise<number> =>
  Number(await ask(counterAddress(word), "", "query-ref"));

/** Splits in several actors at a time. */
async function feed(words: string): Promise<string[]> {
  const chunks = [...cutChunks(words, 8192)];
  return Promise.all(chunks.map((chunk, i) => ask(`default/splitter/${i % 4}`, chunk)));
}

/** When every counter has handled what it was told. */
async function counted(expected: ReadonlyMap<string, number>): Promise<Map<string, number>> {
  const pending = async (): Promise<number> => {
    const { partitions } = await kernel.node.status();
    return partitions.reduce((sum, { pendingMessages }) => sum + pendingMessages, 0);
  };
  await expect.poll(pending, { timeout: 30_000 }).toBe(0);
  const pairs = [...expected.keys()].map(async (word) => [word, await countOf(word)] as const);
  return new Map(await Promise.all(pairs));
}

/** Words from a small vocabulary with a skew like that of a language. */
function text(words: number, vocabulary: number): string {
  let seed = 12345;
  return Array.from({ length: words }, () => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    const rank = Math.floor(vocabulary * (seed / 2 ** 32) ** 3);
    return `w${rank.toString(26).replace(/\d/g, (digit) => "qrstuvwxyz"[Number(digit)]!)}`;
  }).join(" ");
}

describe("what a word is", () => {
  test("follows UTF-8 with replacement, lower case and a to z", () => {
    const bytes = Buffer.concat([
      Buffer.from("Über-KELVIN: \u212Aelvin's İstanbul, ca"),
      Buffer.from([0xff]),
      Buffer.from("fé 3rd\n"),
    ]);
    expect(wordsOnly(bytes)).toBe("ber kelvin kelvin s i stanbul ca f rd");
  });

  test("no chunk cuts a word or loses one", () => {
    const words = `${"x".repeat(70_000)} ${text(60_000, 500)} ${"y".repeat(65_536)} z`;
    const chunks = [...cutChunks(words)];
    expect(chunks.join(" ")).toBe(words);
    expect(chunks.length).toBeGreaterThan(4);
    expect(chunks.filter((chunk) => chunk.length > 65_536)).toEqual(["x".repeat(70_000)]);
  });

  test("a word that fits into no message is refused", () => {
    expect(() => [...cutChunks("x".repeat(300_000))]).toThrow("300000 letters");
  });
});

describe("the pipeline", { timeout: 60_000 }, () => {
  test("counts every word once, in several actors at a time", async () => {
    const before = await summary();
    const words = text(12_000, 400);
    await feed(words);
    await feed(words);
    const expected = countWords(`${words} ${words}`);
    expect(await counted(expected)).toEqual(expected);
    const { total, top } = await summary();
    expect(total - before.total).toBe(24_000);
    const [most] = [...expected].sort(([, a], [, b]) => b - a);
    expect(top[0]).toEqual({ word: most![0], count: most![1] });
    expect(top).toHaveLength(10);
    for (const { word, count } of top)
      expect(`${word} ${count}`).toBe(`${word} ${expected.get(word)}`);
  });

  test("counts words that are too long for a key", async () => {
    const long = "a".repeat(257);
    const words = `${long} b ${"c".repeat(256)} ${long} ${"d".repeat(2000)} b ${"e".repeat(200_000)}`;
    expect(await ask("default/splitter/long", words)).toMatch(/^7 here, \d+ in all$/);
    const expected = countWords(words);
    expect(await counted(expected)).toEqual(expected);
  });

  test("takes a chunk of nothing but different words in several turns", async () => {
    const letters = "zyxvutsrqpo".split("");
    const all = letters.flatMap((a) => letters.flatMap((b) => letters.map((c) => a + b + c)));
    expect(await ask("default/splitter/different", all.join(" "))).toMatch(/^1331 here/);
    const expected = new Map(all.map((word) => [word, 1]));
    expect(await counted(expected)).toEqual(expected);
    const splitter = await kernel.actors.get("default/splitter/different");
    // Sends in two turns, twenty replies and the tally's.
    expect(splitter.turns).toBe(2 + 20 + 1);
  });

  test("does not add two long words that share a key", async () => {
    const counter = counterAddress("f".repeat(300));
    expect(await ask(counter, `1 ${"f".repeat(300)}`)).toBe("1");
    await expect(ask(counter, `1 ${"g".repeat(300)}`)).rejects.toThrow("two words share this key");
  });
});
