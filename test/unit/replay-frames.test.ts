/** Actors that all have turns in all frames come back, and each frame is read about once, where a part costs a whole one. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { FrameReads } from "../../src/storage/jetstream/frame-reads.ts";
import { ShardDriver } from "../support/shard-driver.ts";

const MB = 1024 * 1024;
const ACTORS = 200;
const ROUNDS = 20;
const PADDING = "x".repeat(5200);

const agent = join(import.meta.dirname, "../agents/fixtures/adder/agent.wasm");
const adder = { name: "adder", wasm: readFileSync(agent) };
const actors = Array.from({ length: ACTORS }, (_, i) => `default/adder/k${i}`);

/** Each has added 1 in each round. */
function filled(): ShardDriver {
  const driver = new ShardDriver([adder], 1, {}, { turnsMax: 1_000_000 });
  for (let round = 0; round < ROUNDS; round++) {
    for (const actor of actors) driver.submit(actor, "1", { headers: { padding: PADDING } });
    driver.settle();
  }
  return driver;
}

function tailOf(driver: ShardDriver): { frames: number; bytes: number } {
  const log = driver.log.get(0)!;
  return { frames: log.length, bytes: log.reduce((sum, { length }) => sum + length, 0) };
}

/** Frames that an engine asks its servers for, which keeps very few of them. */
function countFetches(driver: ShardDriver): { fetches: number } {
  const reads = new FrameReads(MB);
  const counted = { fetches: 0 };
  driver.frameRead = (sequence, bytes) => {
    void reads.shared(String(sequence), bytes, () => {
      counted.fetches++;
      return Promise.resolve(undefined);
    });
  };
  return counted;
}

/** Those that have no room in memory are asked for at once, others when a read before them ends. */
async function drained(): Promise<void> {
  for (let i = 0; i < 1000; i++) await Promise.resolve();
}

function expectCounts(driver: ShardDriver, count: number): void {
  for (const actor of actors) {
    expect(driver.ask(actor, "0")?.text).toBe(`${count} ${ROUNDS + 1}`);
  }
}

test("from frames that recovery kept: none is read again", () => {
  const driver = filled();
  expect(tailOf(driver).bytes).toBeGreaterThan(20 * MB);
  driver.restart();
  expect(driver.reads).toBe(0);
  expectCounts(driver, ROUNDS);
});

test("from more frames than fit into memory: all actors go through them together", async () => {
  const driver = filled();
  driver.tailBytesMax = 4 * MB;
  const counted = countFetches(driver);
  driver.restart();
  await drained();
  const { frames } = tailOf(driver);
  expect(counted.fetches).toBeGreaterThanOrEqual(frames - 2);
  expect(counted.fetches).toBeLessThanOrEqual(2 * frames);
  expectCounts(driver, ROUNDS);
  await drained();
  // Everybody was back.
  expect(counted.fetches).toBeLessThanOrEqual(2 * frames);
});

test("also when all of them are called meanwhile", async () => {
  const driver = filled();
  driver.tailBytesMax = 4 * MB;
  const counted = countFetches(driver);
  const { frameRead } = driver;
  driver.frameRead = (sequence, bytes) => {
    driver.frameRead = frameRead;
    frameRead(sequence, bytes);
    for (const actor of actors) driver.submit(actor, "0", { wantsReply: true });
  };
  driver.restart();
  await drained();
  const replies = driver.told.filter(({ kind }) => kind === "reply").map(({ text }) => text);
  expect(replies).toEqual(actors.map(() => `${ROUNDS} ${ROUNDS + 1}`));
  expect(counted.fetches).toBeLessThanOrEqual(2 * tailOf(driver).frames);
});
