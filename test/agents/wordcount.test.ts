/**
 * The wordcount agents against a count made here. The actors of the test hand messages to each other in
 * the order sent; timers fire when there is nothing else to do.
 */
import { describe, expect, test } from "vitest";
import { counterAddress, cutChunks, wordsOnly } from "../../examples/wordcount/text.ts";
import { Guest, IS_TIMER, QUERY_REF, WANTS_REPLY } from "./guest.ts";
import { compileAgent } from "./modules.ts";

const AGENTS = ["splitter", "counter", "tally"] as const;
const TALLY = "default/tally/default";
/** The default of a node, with what the host adds to a send. */
const EFFECTS_BYTES_MAX = 512 * 1024;
const SEND_OVERHEAD_BYTES = 12 + 32 + 40;

const modules = new Map(
  await Promise.all(
    AGENTS.map(
      async (name) => [name, await compileAgent(`examples/wordcount/${name}/assembly`)] as const,
    ),
  ),
);

class Actors {
  readonly actors = new Map<string, Guest>();
  messages = 0;
  private readonly queue: { to: string; text: string; timer?: bigint }[] = [];
  private readonly timers: { to: string; id: bigint }[] = [];

  at(address: string): Guest {
    let actor = this.actors.get(address);
    if (actor === undefined) {
      const agent = address.split("/")[1] as (typeof AGENTS)[number];
      actor = new Guest(modules.get(agent)!, { address });
      this.actors.set(address, actor);
    }
    return actor;
  }

  send(to: string, text: string): void {
    this.queue.push({ to, text });
    while (this.queue.length > 0 || this.timers.length > 0) {
      const next = this.queue.shift();
      if (next !== undefined) this.deliver(next.to, next.text);
      else {
        const timer = this.timers.shift()!;
        this.deliver(timer.to, "", timer.id);
      }
    }
  }

  private deliver(to: string, text: string, timer?: bigint): void {
    this.messages++;
    const turn = this.at(to).deliver({
      text,
      sender: "default/other/actor",
      ...(timer === undefined ? {} : { flags: IS_TIMER, correlation: timer }),
    });
    const effectBytes = turn.sends.reduce(
      (sum, send) =>
        sum + SEND_OVERHEAD_BYTES + to.length + send.receiver.length + send.text.length,
      0,
    );
    expect(effectBytes).toBeLessThan(EFFECTS_BYTES_MAX);
    for (const send of turn.sends) this.queue.push({ to: send.receiver, text: send.text });
    for (const call of turn.calls) {
      const [kind, id] = call.split(" ");
      if (kind === "timer") this.timers.push({ to, id: BigInt(id!) });
    }
  }
}

function countHere(words: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of words.match(/[a-z]+/g) ?? []) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

function feed(actors: Actors, words: string): void {
  let splitter = 0;
  for (const chunk of cutChunks(words)) actors.send(`default/splitter/${splitter++ % 4}`, chunk);
}

function summary(actors: Actors): unknown {
  const { replies } = actors.at(TALLY).deliver({ performative: QUERY_REF, flags: WANTS_REPLY });
  return JSON.parse(replies[0]!.text);
}

function expectExact(actors: Actors, words: string): void {
  const counts = countHere(words);
  for (const [word, count] of counts) {
    const actor = actors.at(counterAddress(word));
    expect(`${word} ${actor.state.get("count")?.toString()}`).toBe(`${word} ${count}`);
  }
  // The tally knows a word by the key of its counter.
  const ranked = [...counts]
    .map(([word, count]) => ({ word: counterAddress(word).split("/")[2]!, count }))
    .sort((a, b) => b.count - a.count || (a.word < b.word ? -1 : 1));
  expect(summary(actors)).toEqual({
    words: counts.size,
    total: [...counts.values()].reduce((sum, count) => sum + count, 0),
    top: ranked.slice(0, 10),
  });
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

describe("the pipeline", () => {
  test("counts every word once, over several messages to the same actors", () => {
    const actors = new Actors();
    const words = text(40_000, 800);
    feed(actors, words);
    feed(actors, words);
    expectExact(actors, `${words} ${words}`);
  });

  test("counts words that are too long for a key", () => {
    const long = "a".repeat(257);
    const words = `${long} b ${"c".repeat(256)} ${long} ${"d".repeat(2000)} b`;
    const actors = new Actors();
    feed(actors, words);
    expectExact(actors, words);
  });

  test("takes a chunk of nothing but different words in several turns", () => {
    const letters = "abcdefghijklmnopq".split("");
    const words = letters
      .flatMap((a) => letters.flatMap((b) => letters.map((c) => a + b + c)))
      .join(" ");
    const actors = new Actors();
    actors.send("default/splitter/0", words);
    expectExact(actors, words);
    // A count, a timer and a total for each word, and more than one chunk.
    expect(actors.messages).toBeGreaterThan(3 * 17 ** 3 + 1);
  });

  test("does not add two long words that share a key", () => {
    const actors = new Actors();
    const counter = counterAddress("a".repeat(300));
    actors.send(counter, `1 ${"a".repeat(300)}`);
    expect(() => actors.send(counter, `1 ${"b".repeat(300)}`)).toThrow("two words share this key");
  });
});
