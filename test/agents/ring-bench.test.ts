/** The two agents of the ring bench are one program in two languages. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Guest, QUERY_REF, WANTS_REPLY } from "./guest.ts";
import { compileAgent, ROOT } from "./modules.ts";

const modules = {
  c: readFileSync(join(ROOT, "bench/agents/forward-c/agent.wasm")),
  assemblyscript: await compileAgent("bench/agents/forward/assembly"),
};

const NOW_MS = 1_700_000_000_000;
const ACTORS = 1000;

function ringMessage(sentMs: number, hops: number): Buffer {
  const content = Buffer.alloc(256, 7);
  content.writeDoubleLE(NOW_MS - 50, 0);
  content.writeDoubleLE(sentMs, 8);
  content.writeUInt32LE(ACTORS, 16);
  content.writeUInt32LE(hops, 20);
  return content;
}

function summary(guest: Guest): unknown {
  const { replies } = guest.deliver({ performative: QUERY_REF, flags: WANTS_REPLY });
  return JSON.parse(replies[0]!.text);
}

describe.each(Object.entries(modules))("the %s agent", (_, wasm) => {
  const actor = () => new Guest(wasm, { address: "default/bench/17", nowMs: NOW_MS });

  test("sends on what it got, with its own time and one hop less", () => {
    const { sends } = actor().deliver({ content: ringMessage(NOW_MS - 3, 9), contentType: 0 });
    expect(sends).toHaveLength(1);
    expect(sends[0]!.receiver).toMatch(/^default\/bench\/\d{1,3}$/);
    expect(sends[0]!.content.equals(ringMessage(NOW_MS, 8))).toBe(true);
  });

  test("keeps the message of the last hop, and counts it", () => {
    const guest = actor();
    expect(guest.deliver({ content: ringMessage(NOW_MS, 0), contentType: 0 }).sends).toEqual([]);
    expect(summary(guest)).toMatchObject({ count: 1 });
  });

  test("tells how long messages took, in powers of two", () => {
    const guest = actor();
    for (const ms of [0, 0.5, 1, 1.5, 2, 3, 4, 1e9]) {
      guest.deliver({ content: ringMessage(NOW_MS - ms, 0), contentType: 0 });
    }
    expect(summary(guest)).toEqual({
      count: 8,
      hopMs: [2, 2, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    });
  });

  test("refuses what is no ring message", () => {
    expect(() => actor().deliver({ text: "short" })).toThrow("not a ring message");
  });
});

test("both draw the same actors, spread over the ring", () => {
  const draws = Object.values(modules).map((wasm) => {
    const guest = new Guest(wasm, { address: "default/bench/17", nowMs: NOW_MS });
    return Array.from({ length: 2000 }, () => {
      const { sends } = guest.deliver({ content: ringMessage(NOW_MS, 5), contentType: 0 });
      return sends[0]!.receiver;
    });
  });
  expect(draws[0]).toEqual(draws[1]);
  expect(new Set(draws[0]).size).toBeGreaterThan(700);
});
