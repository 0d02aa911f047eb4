/** Change of version: state goes over through export and import, journalled, on a real shard. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ShardDriver } from "../support/shard-driver.ts";
import type { DrivenAgent } from "../support/shard-driver.ts";

const module = (name: string) =>
  readFileSync(join(import.meta.dirname, "../agents/fixtures", name, "agent.wasm"));

/** Counts messages; the second version counts by tens and says so. */
const old: DrivenAgent = { name: "counter", wasm: module("counter-v1") };
const next: DrivenAgent = { name: "counter", wasm: module("counter-v2") };
const ONE = "default/counter/one";

const deploy = (driver: ShardDriver): void => {
  driver.control({
    kind: "deploy",
    agent: "default/counter",
    environment: driver.announce([next])[0]!,
    resetMemory: false,
  });
  driver.settle();
};

const text = (driver: ShardDriver, content: string): string | undefined =>
  driver.ask(ONE, content)?.text;

describe("an actor goes over to another version", () => {
  test("with what the old one exported, before its next message", () => {
    const driver = new ShardDriver([old]);
    expect([text(driver, "add"), text(driver, "add")]).toEqual(["v1: 1", "v1: 2"]);
    deploy(driver);
    expect(text(driver, "add")).toBe("v2: 12");
  });

  test("and is there after a crash, without its old turns", () => {
    const driver = new ShardDriver([old]);
    text(driver, "add");
    deploy(driver);
    text(driver, "add");
    driver.restart();
    expect(text(driver, "add")).toBe("v2: 21");
    // The import and one turn.
    const status = driver.query({ kind: "status", partition: 0 });
    expect(status).toMatchObject({ turnsReplayed: 2 });
  });

  test("also from an image that the old version left", () => {
    const driver = new ShardDriver([old]);
    text(driver, "add");
    driver.checkpoint();
    deploy(driver);
    driver.restart();
    expect(text(driver, "add")).toBe("v2: 11");
    driver.checkpoint();
    driver.restart();
    expect(text(driver, "add")).toBe("v2: 21");
  });

  test("when its handler is done, not before", () => {
    const driver = new ShardDriver([old]);
    const waiting = driver.submit(ONE, "wait", { wantsReply: true });
    driver.settle();
    deploy(driver);
    driver.submit(ONE, "add");
    driver.settle();
    driver.nowMs += 1000;
    driver.tick();
    expect(driver.told.find(({ requestId }) => requestId === waiting)?.text).toBe("v1: waited");
    expect(text(driver, "add")).toBe("v2: 20");
  });

  test("at the end of the drain time in any case: the open handler fails", () => {
    const driver = new ShardDriver([old]);
    const waiting = driver.submit(ONE, "wait long", { wantsReply: true });
    driver.settle();
    deploy(driver);
    driver.nowMs += 30_000;
    driver.tick();
    expect(driver.told.find(({ requestId }) => requestId === waiting)).toMatchObject({
      kind: "failure",
      code: "AGENT_FAILED",
    });
    expect(text(driver, "add")).toBe("v2: 10");
  });

  test("or is held with its old memory when the new one does not take the state", () => {
    const driver = new ShardDriver([old]);
    for (let i = 0; i < 13; i++) text(driver, "add");
    deploy(driver);
    driver.ask(ONE, "add");
    const facts = driver.query({ kind: "actor", partition: 0, address: ONE });
    expect(facts).toMatchObject({ status: "held" });
    expect((facts as { reason: string }).reason).toMatch(/^UPGRADE_FAILED/);
  });
});
