/** The trace of a message goes on with what its turn sends, on a real shard with real WebAssembly. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { committedMessages } from "../../src/actors/observed-messages.ts";
import { decodeMessage } from "../../src/actors/wasm/envelope.ts";
import { parseTraceparent } from "../../src/base/trace.ts";
import { type DrivenAgent, ShardDriver } from "../support/shard-driver.ts";

const module = (name: string) =>
  readFileSync(join(import.meta.dirname, "../agents/fixtures", name, "agent.wasm"));

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER = "00f067aa0ba902b7";
const headers = { traceparent: `00-${TRACE}-${CALLER}-01` };
const front: DrivenAgent = { name: "front", wasm: module("asker") };
const back: DrivenAgent = { name: "back", wasm: module("echo") };

interface Sent {
  readonly receiver: string;
  readonly traceparent: string | undefined;
}

function sent(driver: ShardDriver): Sent[] {
  return driver.log.get(0)!.flatMap((frame) =>
    committedMessages(frame, 0, 1).map(({ offset }) => {
      const { receiver, headers: found } = decodeMessage(frame, offset);
      return { receiver, traceparent: found["traceparent"] };
    }),
  );
}

function askThrough(driver: ShardDriver): void {
  const options = { wantsReply: true, headers };
  driver.submit("default/front/a", "default/back/b 5000 hello", options);
  driver.settle();
  expect(driver.told.at(-1)).toMatchObject({ kind: "reply", text: "hello" });
}

test("asks and replies between actors have spans of their own, and a client's reply has none", () => {
  const driver = new ShardDriver([front, back]);
  askThrough(driver);
  const messages = sent(driver);
  expect(messages.map(({ receiver }) => receiver)).toEqual([
    "default/front/a",
    "default/back/b",
    "default/front/a",
    "client",
  ]);
  const contexts = messages.map(({ traceparent = "" }) => parseTraceparent(traceparent));
  expect(contexts.map((context) => context?.traceId)).toEqual([TRACE, TRACE, TRACE, undefined]);
  expect(contexts.slice(0, 3).every((context) => context?.isSampled)).toBe(true);
  expect(new Set(contexts.map((context) => context?.spanId)).size).toBe(4);
});

test.each([true, false])("a replay gives the same bytes; carried: %s", (carriesTrace) => {
  const agents = [front, back].map((agent) => ({ ...agent, carriesTrace }));
  const driver = new ShardDriver(agents);
  askThrough(driver);
  const asked = sent(driver).find(({ receiver }) => receiver === "default/back/b")!;
  expect(asked.traceparent !== undefined).toBe(carriesTrace);
  driver.restart();
  askThrough(driver);
  const address = "default/front/a";
  const actor = driver.query({ kind: "actor", partition: 0, address });
  expect(actor).toMatchObject({ status: "idle", turns: 4 });
});

test("logs of before there were traces do not replay with them", () => {
  const agents = [front, back].map((agent) => ({ ...agent, carriesTrace: false }));
  const driver = new ShardDriver(agents);
  askThrough(driver);
  driver.restart([front, back]);
  const address = "default/front/a";
  driver.submit(address, "default/back/b 5000 hello", { wantsReply: true });
  driver.settle();
  const actor = driver.query({ kind: "actor", partition: 0, address });
  expect(actor).toMatchObject({ status: "held" });
});
