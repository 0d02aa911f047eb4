import { describe, expect, test } from "vitest";
import { agentName, collectPair, durationMs, positiveInteger } from "../../cli/arguments.ts";
import { outputFormat, valueAt } from "../../cli/output-format.ts";
import { plain } from "../../cli/plain.ts";

test.each([
  ["500ms", 500],
  ["30s", 30_000],
  ["1.5s", 1500],
  ["2m", 120_000],
  ["1h", 3_600_000],
])("%s is %d ms", (text, expected) => {
  expect(durationMs(text)).toBe(expected);
});

test.each(["5", "", "s", "-1s", "1 s", "1d"])("%j is no duration", (text) => {
  expect(() => durationMs(text)).toThrow("Write it like");
});

test.each(["0", "-1", "1.5", "x", "", "9007199254740993"])("%j is no count", (text) => {
  expect(() => positiveInteger(text)).toThrow("whole number");
});

test("names of agents", () => {
  expect(agentName("counter")).toEqual({ namespace: "default", name: "counter" });
  expect(agentName("bank/ledger")).toEqual({ namespace: "bank", name: "ledger" });
});

test("headers", () => {
  expect(collectPair("a=b=c", { x: "y" })).toEqual({ x: "y", a: "b=c" });
  expect(() => collectPair("=b", {})).toThrow("key=value");
});

describe("answers for programs", () => {
  test("enums by their short name, other texts untouched", () => {
    expect(plain({ status: "ACTOR_STATUS_IDLE", reason: "ACTOR STATUS" })).toEqual({
      status: "idle",
      reason: "ACTOR STATUS",
    });
  });

  test("content as its type says", () => {
    const bytes = (text: string) => new TextEncoder().encode(text);
    const content = (contentType: string, value: Uint8Array) =>
      plain({ contentType, content: value });
    expect(content("application/json", bytes('{"a":1}'))).toMatchObject({ content: { a: 1 } });
    expect(content("text/plain", bytes("[1]"))).toMatchObject({ content: "[1]" });
    expect(content("application/json", bytes("{"))).toMatchObject({ content: "{" });
    expect(content("application/octet-stream", Uint8Array.of(255, 1))).toEqual({
      contentType: "application/octet-stream",
      contentBase64: "/wE=",
    });
  });
});

test.each([
  ["A:name", "x"],
  ["A:.items[1].n", "2"],
  ["A:items", '[{"n":1},{"n":2}]'],
  ["A:items[2].n", ""],
  ["A:name.length", ""],
])("the column %s is %j", (column, expected) => {
  const output = outputFormat(`custom-columns=${column}`);
  const { path } = (output as Extract<typeof output, { columns: unknown }>).columns[0]!;
  expect(valueAt({ name: "x", items: [{ n: 1 }, { n: 2 }] }, path)).toBe(expected);
});
