/** Checkpoints, images and trimming on a real shard with real WebAssembly. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ShardDriver } from "../support/shard-driver.ts";

const module = (name: string) =>
  readFileSync(join(import.meta.dirname, "../agents/fixtures", name, "agent.wasm"));

const adder = { name: "adder", wasm: module("adder") };
const grower = { name: "grower", wasm: module("table-grower") };

const address = (key: number) => `default/adder/k${String(key)}`;

interface ActorFacts {
  readonly status: string;
  readonly reason?: string;
}

const actorOf = (driver: ShardDriver, of: string): ActorFacts =>
  driver.query({ kind: "actor", partition: 0, address: of }) as ActorFacts;

/** Nothing below the newest trim may be needed any more: it is overwritten. */
function wipeTrimmed(driver: ShardDriver): number {
  const below = driver.trims.at(-1)?.below ?? 1;
  for (const frame of driver.log.get(0)!.slice(0, below - 1)) frame.fill(0);
  return below;
}

describe("a checkpoint", () => {
  test("is what a start begins with; memory comes from its image", () => {
    const driver = new ShardDriver([adder]);
    for (let i = 0; i < 10; i++) driver.ask(address(1), "1");
    driver.checkpoint();
    const frames = driver.log.get(0)!.length;
    expect(wipeTrimmed(driver)).toBe(frames);
    driver.reads = 0;
    driver.restart();
    expect(driver.ask(address(1), "1")?.text).toBe("11 11");
    expect(driver.reads).toBe(0);
  });

  test("counts turns, bytes and time, and is not taken of what has not changed", () => {
    const driver = new ShardDriver([adder], 1, {}, { turnsMax: 100 });
    for (let i = 0; i < 99; i++) driver.submit(address(i), "1");
    driver.settle();
    expect(driver.trims).toHaveLength(0);
    driver.ask(address(1), "1");
    expect(driver.trims).toHaveLength(1);
    driver.checkpoint();
    expect(driver.trims).toHaveLength(1);
    driver.ask(address(1), "1");
    driver.checkpoint();
    expect(driver.trims).toHaveLength(2);
  });

  test("has the turns after an image replayed on top of it", () => {
    const driver = new ShardDriver([adder]);
    for (let i = 0; i < 5; i++) driver.ask(address(1), "1");
    driver.checkpoint();
    for (let i = 0; i < 3; i++) driver.ask(address(1), "2");
    wipeTrimmed(driver);
    driver.restart();
    expect(driver.ask(address(1), "0")?.text).toBe("11 9");
  });

  test("keeps a message that waits beyond its place in the log, and its replay", () => {
    const driver = new ShardDriver([adder]);
    driver.ask(address(1), "1");
    driver.control({ kind: "suspend", agent: "default/adder", reason: "test" });
    driver.submit(address(1), "41");
    driver.settle();
    driver.checkpoint();
    wipeTrimmed(driver);
    driver.restart();
    driver.control({ kind: "resume", agent: "default/adder" });
    driver.settle();
    // Its turn is replayed from where the message was written again.
    driver.restart();
    expect(driver.ask(address(1), "0")?.text).toBe("42 3");
  });

  test("lets the log and older blobs go only when the frame that names it is durable", () => {
    const driver = new ShardDriver([adder]);
    driver.ask(address(1), "1");
    driver.nowMs += 60_000;
    driver.submit(address(1), "1");
    // Everything is stored, and the frame with the entry waits for its commit.
    while (driver.blobs.size < 2) {
      driver.run();
      driver.commit();
    }
    driver.run();
    expect(driver.trims).toHaveLength(0);
    driver.settle();
    expect(driver.trims).toHaveLength(1);
  });

  test("does not count on images that are not durable", () => {
    const driver = new ShardDriver([adder], 1, { residentActorsMax: 1 });
    driver.holdBlobs = true;
    driver.ask(address(1), "1");
    // It makes room: its image waits to be stored.
    driver.ask(address(2), "1");
    driver.checkpoint();
    expect(driver.trims).toHaveLength(0);
    driver.restart();
    expect(driver.ask(address(1), "0")?.text).toBe("1 2");
  });

  test("makes repeats of client ids from before it known", () => {
    const driver = new ShardDriver([adder]);
    driver.ask(address(1), "5", "same");
    driver.checkpoint();
    wipeTrimmed(driver);
    driver.restart();
    expect(driver.ask(address(1), "5", "same")).toMatchObject({ duplicate: true, text: "5 1" });
  });
});

describe("images", () => {
  test("bring back actors that had to make room, without the log", () => {
    const driver = new ShardDriver([adder], 1, { residentActorsMax: 2 });
    for (let round = 1; round <= 3; round++) {
      for (let key = 0; key < 10; key++) {
        expect(driver.ask(address(key), "1")?.text).toBe(`${String(round)} ${String(round)}`);
      }
    }
    expect(driver.reads).toBe(0);
  });

  test("go when nothing needs them, and what is needed stays", () => {
    const driver = new ShardDriver([adder]);
    for (let round = 1; round <= 30; round++) {
      // One actor is of the first round only; the others are renewed.
      for (let key = round === 1 ? 0 : 1; key < 4; key++) driver.ask(address(key), "1");
      driver.checkpoint();
    }
    // The newest state, the newest images, and at most the pack that holds the quiet one.
    expect(driver.blobs.size).toBeLessThanOrEqual(3);
    wipeTrimmed(driver);
    driver.restart();
    expect(driver.ask(address(0), "0")?.text).toBe("1 2");
    expect(driver.ask(address(1), "0")?.text).toBe("30 31");
  });

  test("of one actor damaged: it is held and says so, the others live", () => {
    const driver = new ShardDriver([adder]);
    for (let key = 0; key < 3; key++) driver.ask(address(key), "7");
    driver.checkpoint();
    const pack = [...driver.blobs.values()].find((b) => b.toString("latin1", 0, 4) === "CXP1")!;
    // Images follow one another in the order of the table; the last byte is of the last.
    pack[pack.length - 1]! ^= 1;
    driver.restart();
    const texts = [0, 1, 2].map((key) => driver.ask(address(key), "0")?.text);
    expect(texts.filter((text) => text === "7 2")).toHaveLength(2);
    const held = address(texts.indexOf(undefined));
    expect(actorOf(driver, held)).toMatchObject({ status: "held" });
    expect(actorOf(driver, held).reason).toMatch(/^SNAPSHOT_DAMAGED: its image is damaged/);
    driver.control({ kind: "reset", actor: held });
    driver.settle();
    // The message that found it damaged has been handled since.
    expect(driver.ask(held, "1")?.text).toBe("1 2");
  });

  test("missing altogether: every actor in them is held, the partition lives", () => {
    const driver = new ShardDriver([adder]);
    driver.ask(address(1), "7");
    driver.checkpoint();
    for (const [sha256, blob] of driver.blobs) {
      if (blob.toString("latin1", 0, 4) === "CXP1") driver.blobs.delete(sha256);
    }
    driver.restart();
    driver.ask(address(1), "0");
    expect(actorOf(driver, address(1))).toMatchObject({ status: "held" });
    expect(driver.ask(address(2), "3")?.text).toBe("3 1");
  });

  test("are not taken of modules that change tables: their log stays", () => {
    const driver = new ShardDriver([grower, adder]);
    driver.ask("default/grower/one", "1");
    const before = driver.log.get(0)!.length;
    driver.ask(address(1), "1");
    driver.checkpoint();
    expect(driver.trims.at(-1)!.below).toBeLessThanOrEqual(before);
  });
});
