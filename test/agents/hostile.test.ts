/** What a rewritten module stops by itself; the rest is the host's to refuse. */
import { describe, expect, test } from "vitest";
import { rewriteModule } from "../../src/actors/wasm/rewrite/rewriter.ts";
import { Guest, WANTS_REPLY } from "./guest.ts";
import { fixture } from "./modules.ts";

const PAGES_MAX = 32;
const TABLE_MAX = 5001;
const limits = { memoryPagesMax: PAGES_MAX, tableElementsMax: TABLE_MAX, callDepthMax: 500 };

const rewritten = (name: string) =>
  new Guest(rewriteModule(fixture(name), limits).bytes, { fuel: 500_000 });

describe("the hostile agent", () => {
  test.each(["loop", "recurse", "emit", "log", "send", "state", "timers", "asks", "trap"])(
    "%s ends in a trap",
    (verb) => {
      expect(() => rewritten("hostile").deliver({ text: verb })).toThrow(WebAssembly.RuntimeError);
    },
  );

  test("gets no more memory than it may have", () => {
    expect(rewritten("hostile").ask("memory")).toBe(String(PAGES_MAX));
  });

  test("fails with its own words", () => {
    expect(() => rewritten("hostile").deliver({ text: "fail no more" })).toThrow("no more");
  });

  test("returns a value that is none", () => {
    expect(rewritten("hostile").deliver({ text: "result" }).result).toBe(7);
  });

  test.each(["pointer-send", "pointer-state", "pointer-log"])("%s points outside", (verb) => {
    const guest = rewritten("hostile");
    expect(() => guest.deliver({ text: verb })).toThrow(RangeError);
  });

  test("floods itself, a partner and a third", () => {
    const guest = rewritten("hostile");
    expect(guest.deliver({ text: "flood" }).sends).toHaveLength(2);
    const { sends } = guest.deliver({ text: "partner default/agent/two" });
    expect(sends.map((send) => [send.receiver, send.text])).toEqual([
      ["default/agent/two", "partner default/agent/one"],
      ["default/agent/two", "partner default/agent/one"],
    ]);
    expect(guest.deliver({ text: "fill default/agent/three" }).sends).toHaveLength(100);
  });

  test("counts what it handled", () => {
    const guest = rewritten("hostile");
    guest.deliver({ text: "nothing" });
    expect(guest.ask("handled")).toBe("2");
  });
});

test("a table does not grow past its limit", () => {
  const { replies } = rewritten("table-grower").deliver({ text: "grow", flags: WANTS_REPLY });
  expect(replies[0]!.content.readUInt32LE(0)).toBe(TABLE_MAX);
});
