/** What keeps each promise, one test a guard: `npm run mutants` takes the guards away one by one. */
import { describe, expect, test } from "vitest";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ShardDriver } from "../support/shard-driver.ts";
import { agentBuilder } from "../support/wasm-builder.ts";

const module = (name: string) =>
  readFileSync(join(import.meta.dirname, "../agents/fixtures", name, "agent.wasm"));

const echo = { name: "echo", wasm: module("echo") };
const adder = { name: "adder", wasm: module("adder") };
const probe = { name: "probe", wasm: module("probe") };
const hostile = { name: "hostile", wasm: module("hostile"), spec: "attemptsMax: 1" };

const ADDER = "default/adder/one";
const HOSTILE = "default/hostile/one";

function stateOf(driver: ShardDriver, address: string): Record<string, string> {
  const found = driver.query({
    kind: "states",
    partition: 0,
    address,
    prefix: "",
    after: "",
    max: 10,
  }) as { key: string; value: Uint8Array }[];
  return Object.fromEntries(found.map(({ key, value }) => [key, Buffer.from(value).toString()]));
}

const deadLetters = (driver: ShardDriver): string[] => {
  const query = { kind: "dead-letters", partition: 0, prefix: "", after: 0, max: 10 } as const;
  return (driver.query(query) as { code: string }[]).map(({ code }) => code);
};

describe("messages of another partition", () => {
  function receiver() {
    const driver = new ShardDriver([adder], 2);
    return { driver, address: driver.addressIn(0, "adder") };
  }

  test("are taken once, however often they come", () => {
    const { driver, address } = receiver();
    driver.relay(1, 1, address, "5");
    driver.relay(1, 1, address, "5");
    driver.settle();
    driver.relay(1, 1, address, "5");
    driver.settle();
    driver.restart();
    driver.relay(1, 1, address, "5");
    driver.settle();
    expect(stateOf(driver, address)).toEqual({ total: "5 1" });
    expect(driver.refetches).toEqual([]);
  });

  test("are said to be accepted each time they come: who sends them again was not told", () => {
    const { driver, address } = receiver();
    driver.relay(1, 1, address, "5");
    driver.relay(1, 1, address, "5");
    // Not before it is durable.
    expect(driver.acknowledged).toEqual([]);
    driver.settle();
    expect(driver.acknowledged.at(-1)).toEqual({ source: 1, n: 1 });
    driver.restart();
    driver.acknowledged.length = 0;
    driver.relay(1, 1, address, "5");
    driver.settle();
    expect(driver.acknowledged).toEqual([{ source: 1, n: 1 }]);
  });

  test("are taken without a gap: what lacks is asked for", () => {
    const { driver, address } = receiver();
    driver.relay(1, 1, address, "5");
    driver.relay(1, 3, address, "7");
    driver.settle();
    expect(stateOf(driver, address)).toEqual({ total: "5 1" });
    expect(driver.refetches).toEqual([{ source: 1, n: 2 }]);
    driver.relay(1, 2, address, "6");
    driver.relay(1, 3, address, "7");
    driver.settle();
    expect(stateOf(driver, address)).toEqual({ total: "18 3" });
  });

  test("become dead letters when the mailbox is full", () => {
    const driver = new ShardDriver([{ ...adder, spec: "limits: {mailboxMessagesMax: 2}" }], 2);
    const address = driver.addressIn(0, "adder");
    for (let n = 1; n <= 3; n++) driver.relay(1, n, address, "5");
    driver.settle();
    expect(stateOf(driver, address)).toEqual({ total: "10 2" });
    expect(deadLetters(driver)).toEqual(["MAILBOX_FULL"]);
  });
});

test("an actor that is held and released while it waits for its turn handles each message once", () => {
  const driver = new ShardDriver([adder]);
  driver.submit(ADDER, "5");
  driver.submit(ADDER, "7");
  driver.control({ kind: "hold", actor: ADDER, code: "AGENT_FAILED", reason: "by hand" });
  driver.control({ kind: "release", actor: ADDER });
  driver.settle();
  expect(stateOf(driver, ADDER)).toEqual({ total: "12 2" });
});

describe("nothing leaves before its frame is durable", () => {
  test("neither acceptance nor reply", () => {
    const driver = new ShardDriver([adder]);
    const tell = driver.submit(ADDER, "5");
    const ask = driver.submit(ADDER, "6", { wantsReply: true });
    driver.run();
    expect(driver.told).toEqual([]);
    driver.settle();
    expect(driver.told).toMatchObject([
      { kind: "accepted", requestId: tell },
      { kind: "reply", requestId: ask, text: "11 2" },
    ]);
  });

  test("nor a message to another partition", () => {
    const driver = new ShardDriver([probe], 2);
    const other = driver.addressIn(1, "probe");
    driver.submit(driver.addressIn(0, "probe"), `send ${other} hello`);
    driver.run();
    expect(driver.relayed).toEqual([]);
    driver.settle();
    expect(driver.relayed).toEqual([{ destination: 1, n: 1, text: "hello" }]);
  });
});

describe("a failed turn", () => {
  test("leaves no trace in memory, with and without an image", () => {
    const driver = new ShardDriver([hostile]);
    expect(driver.ask(HOSTILE, "handled")).toMatchObject({ kind: "reply", text: "1" });
    // The first failure costs a replay, the second finds the image taken since.
    for (let handled = 2; handled <= 3; handled++) {
      expect(driver.ask(HOSTILE, "trap")).toMatchObject({ kind: "failure", code: "AGENT_TRAPPED" });
      const expected = { kind: "reply", text: String(handled) };
      expect(driver.ask(HOSTILE, "handled")).toMatchObject(expected);
    }
  });

  test("leaves no effects, though it had some before it failed", () => {
    const driver = new ShardDriver([hostile]);
    const failure = { kind: "failure", code: "HOST_CALL_INVALID" };
    expect(driver.ask(HOSTILE, "reply-twice")).toMatchObject(failure);
    expect(driver.ask(HOSTILE, "pointer-state")).toMatchObject(failure);
    expect(stateOf(driver, HOSTILE)).toEqual({});
    expect(deadLetters(driver)).toEqual(["HOST_CALL_INVALID", "HOST_CALL_INVALID"]);
  });
});

describe("replay", () => {
  test("brings memory back", () => {
    const driver = new ShardDriver([adder]);
    driver.ask(ADDER, "5");
    driver.restart();
    expect(driver.ask(ADDER, "6")).toMatchObject({ kind: "reply", text: "11 2" });
  });

  test("whose effects differ from the log's holds the actor", () => {
    const driver = new ShardDriver([echo]);
    const address = "default/echo/one";
    expect(driver.ask(address, "a")).toMatchObject({ kind: "reply", text: "a" });
    driver.restart([{ ...echo, wasm: agentBuilder().build() }]);
    expect(driver.ask(address, "b")).toBeUndefined();
    const actor = driver.query({ kind: "actor", partition: 0, address });
    expect(JSON.stringify(actor)).toMatch(/REPLAY_DIVERGED/);
  });
});

describe("the log of a partition", () => {
  test.each([
    ["a missing frame", (frames: Buffer[]) => frames.splice(2, 1)],
    ["swapped frames", (frames: Buffer[]) => frames.splice(2, 0, ...frames.splice(3, 1))],
    ["a frame twice", (frames: Buffer[]) => frames.splice(2, 0, frames[2]!)],
  ])("with %s is not recovered", (_what, damage) => {
    const driver = new ShardDriver([adder]);
    for (const text of ["1", "2", "3"]) driver.ask(ADDER, text);
    damage(driver.log.get(0)!);
    expect(() => {
      driver.restart();
    }).toThrow(expect.objectContaining({ code: "STORAGE_CORRUPT" }));
  });
});

describe("a client's message", () => {
  test("is refused when the mailbox is full", () => {
    const driver = new ShardDriver([{ ...adder, spec: "limits: {mailboxMessagesMax: 2}" }]);
    const requests = ["5", "5", "5"].map((text) => driver.submit(ADDER, text));
    driver.settle();
    expect(driver.told).toMatchObject([
      { kind: "refused", requestId: requests[2], code: "MAILBOX_FULL" },
      { kind: "accepted", requestId: requests[0] },
      { kind: "accepted", requestId: requests[1] },
    ]);
    expect(stateOf(driver, ADDER)).toEqual({ total: "10 2" });
  });

  test("takes effect once by its id: repeats get the first reply", () => {
    const driver = new ShardDriver([adder]);
    const first = { kind: "reply", text: "5 1" };
    expect(driver.ask(ADDER, "5", "id-1")).toMatchObject({ ...first, duplicate: false });
    expect(driver.ask(ADDER, "5", "id-1")).toMatchObject({ ...first, duplicate: true });
    driver.restart();
    expect(driver.ask(ADDER, "5", "id-1")).toMatchObject({ ...first, duplicate: true });
    expect(stateOf(driver, ADDER)).toEqual({ total: "5 1" });
  });

  test("with a new id is refused when no more ids can be remembered", () => {
    const driver = new ShardDriver([adder], 1, { clientIdsMax: 1 });
    expect(driver.ask(ADDER, "5", "id-1")).toMatchObject({ kind: "reply" });
    const refusal = { kind: "refused", code: "DEDUP_WINDOW_FULL" };
    expect(driver.ask(ADDER, "6", "id-2")).toMatchObject(refusal);
    expect(stateOf(driver, ADDER)).toEqual({ total: "5 1" });
  });
});

describe("time", () => {
  test("never goes back, whatever the clock does meanwhile", () => {
    const driver = new ShardDriver([probe]);
    const now = (): number => Number(driver.ask("default/probe/one", "now")?.text);
    const before = now();
    driver.nowMs -= 500_000;
    expect(now()).toBeGreaterThanOrEqual(before);
    driver.restart();
    expect(now()).toBeGreaterThanOrEqual(before);
  });
});

describe("an ask", () => {
  const asker = { name: "asker", wasm: module("asker") };

  test("that comes back to the open handler that waits for it fails at once", () => {
    const driver = new ShardDriver([asker]);
    const text = driver.ask("default/asker/1", "default/asker/1 2000 x")?.text;
    expect(text).toMatch(/^REENTRANT_ASK: /);
  });

  test("is given up at its deadline", () => {
    const driver = new ShardDriver([asker, { name: "ticker", wasm: module("ticker") }]);
    const requestId = driver.submit("default/asker/1", "default/ticker/1 2000 wait 1 900000", {
      wantsReply: true,
    });
    driver.settle();
    driver.nowMs += 2001;
    driver.tick();
    expect(driver.told.find((one) => one.requestId === requestId)?.text).toMatch(/^ASK_TIMEOUT: /);
  });
});
