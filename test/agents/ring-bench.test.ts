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
const REQUEST = 1;

interface RingMessage {
  readonly sentMs?: number;
  readonly fromMs?: number;
  readonly stopMs?: number;
  readonly copies?: number;
  readonly turns?: bigint;
}

function ringMessage(fields: RingMessage = {}): Buffer {
  const { sentMs = NOW_MS, fromMs = 0, stopMs = Infinity } = fields;
  const { copies = 1, turns = 0n } = fields;
  const content = Buffer.alloc(256, 7);
  [sentMs, fromMs, stopMs].forEach((ms, i) => content.writeDoubleLE(ms, i * 8));
  content.writeUInt32LE(ACTORS, 24);
  content.writeUInt32LE(copies, 28);
  content.writeBigUInt64LE(turns, 32);
  return content;
}

interface Summary {
  readonly count: number;
  readonly kept: number;
  readonly keptTurns: number;
  readonly hops: Map<number, number>;
}

function summary(guest: Guest): Summary {
  const { replies } = guest.deliver({ performative: QUERY_REF, flags: WANTS_REPLY });
  const { hops, ...counts } = JSON.parse(replies[0]!.text) as Summary & { hops: number[] };
  expect(hops).toHaveLength(1024);
  return { ...counts, hops: new Map([...hops.entries()].filter(([, messages]) => messages > 0)) };
}

describe.each(Object.entries(modules))("the %s agent", (_, wasm) => {
  const actor = () => new Guest(wasm, { address: "default/bench/17", nowMs: NOW_MS });
  const deliver = (guest: Guest, message: RingMessage) =>
    guest.deliver({ content: ringMessage(message), contentType: 0 });

  test("sends on what it got, with its own time", () => {
    const { sends } = deliver(actor(), { sentMs: NOW_MS - 3, fromMs: 5, stopMs: NOW_MS + 1 });
    expect(sends).toHaveLength(1);
    expect(sends[0]!.receiver).toMatch(/^default\/bench\/\d{1,3}$/);
    const next = ringMessage({ sentMs: NOW_MS, fromMs: 5, stopMs: NOW_MS + 1, turns: 1n });
    expect(sends[0]!.content.equals(next)).toBe(true);
  });

  test("makes as many of a message as it says, each of them one from then on", () => {
    const { sends } = deliver(actor(), { copies: 3, turns: 7n });
    const made = [{ turns: 8n }, {}, {}].map((fields) => ringMessage(fields));
    expect(sends.map(({ content }, i) => content.equals(made[i]!))).toEqual([true, true, true]);
  });

  test("keeps a message from its end on, with the turns it carries", () => {
    const guest = actor();
    for (const turns of [4n, 0n]) {
      expect(deliver(guest, { stopMs: NOW_MS, turns }).sends).toEqual([]);
    }
    expect(summary(guest)).toEqual({ count: 2, kept: 2, keptTurns: 6, hops: new Map() });
  });

  test("tells how long messages took, in steps that widen", () => {
    const guest = actor();
    for (const ms of [-1, 0, 0.5, 1, 511, 512, 527, 528, 1e9]) {
      deliver(guest, { sentMs: NOW_MS - ms });
    }
    const hops = Object.entries({ 0: 3, 1: 1, 511: 1, 512: 2, 513: 1, 1023: 1 });
    const expected = new Map(hops.map(([bucket, messages]) => [Number(bucket), messages]));
    expect(summary(guest)).toEqual({ count: 9, kept: 0, keptTurns: 0, hops: expected });
  });

  test("notes no times before it should", () => {
    const guest = actor();
    deliver(guest, { fromMs: NOW_MS + 1 });
    expect(summary(guest)).toMatchObject({ count: 1, hops: new Map() });
  });

  test("answers a request with its content", () => {
    const content = Buffer.from("there and back");
    const { replies } = actor().deliver({ performative: REQUEST, flags: WANTS_REPLY, content });
    expect(replies.map((reply) => reply.text)).toEqual(["there and back"]);
  });

  test("refuses what is no ring message", () => {
    expect(() => actor().deliver({ text: "short" })).toThrow("not a ring message");
  });
});

test("both draw the same actors, spread over the ring", () => {
  const draws = Object.values(modules).map((wasm) => {
    const guest = new Guest(wasm, { address: "default/bench/17", nowMs: NOW_MS });
    return Array.from({ length: 2000 }, () => {
      const { sends } = guest.deliver({ content: ringMessage(), contentType: 0 });
      return sends[0]!.receiver;
    });
  });
  expect(draws[0]).toEqual(draws[1]);
  expect(new Set(draws[0]).size).toBeGreaterThan(700);
});
