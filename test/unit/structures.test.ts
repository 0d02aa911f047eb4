import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ClientIds } from "../../src/actors/partition/client-ids.ts";
import { Outbox } from "../../src/actors/partition/outbox.ts";
import {
  TurnIndex,
  TurnLog,
  logPosition,
  offsetOf,
  sequenceOf,
} from "../../src/actors/partition/turn-index.ts";
import { MinHeap } from "../../src/base/heap.ts";
import { Queue } from "../../src/base/queue.ts";

describe("queue", () => {
  test("behaves like an array", () => {
    const commands = fc.array(
      fc.oneof(fc.constant("shift"), fc.constant("unshift"), fc.constant("push")),
      { maxLength: 200 },
    );
    fc.assert(
      fc.property(commands, (steps) => {
        const queue = new Queue<number>();
        const model: number[] = [];
        steps.forEach((step, i) => {
          if (step === "push") {
            queue.push(i);
            model.push(i);
          } else if (step === "unshift") {
            queue.unshift(i);
            model.unshift(i);
          } else {
            expect(queue.shift()).toBe(model.shift());
          }
          expect(queue.length).toBe(model.length);
          expect(queue.peek()).toBe(model[0]);
          expect([...queue]).toEqual(model);
        });
      }),
    );
  });
});

describe("heap", () => {
  test("gives items in the order of their keys, also after some were dropped", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1000)), (keys) => {
        const heap = new MinHeap<number>();
        for (const key of keys) heap.push(key, key);
        heap.keep((key) => key % 3 !== 0);
        const left = keys.filter((key) => key % 3 !== 0).sort((a, b) => a - b);
        for (const key of left) {
          expect(heap.minKey).toBe(key);
          expect(heap.pop()).toBe(key);
        }
        expect(heap.pop()).toBeUndefined();
        expect(heap.minKey).toBe(Infinity);
      }),
    );
  });
});

describe("outbox", () => {
  test("keeps what is not acknowledged, in order, however it grows and wraps", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(40), fc.nat(60)), { maxLength: 60 }), (rounds) => {
        const outbox = new Outbox();
        let model: { n: number; position: number; length: number }[] = [];
        let n = 0;
        for (const [adds, acknowledged] of rounds) {
          for (let i = 0; i < adds; i++) {
            const entry = { n: ++n, position: n * 3, length: n % 7 };
            expect(outbox.add(entry.position, entry.length)).toBe(n);
            model.push(entry);
          }
          const upTo = n - acknowledged;
          outbox.acknowledge(upTo);
          model = model.filter((entry) => entry.n > upTo);
          expect(outbox.from(0, 1000)).toEqual(model.slice(0, 1000));
          expect(outbox.bytes).toBe(model.reduce((sum, entry) => sum + entry.length, 0));
          expect(outbox.firstN).toBe(model[0]?.n ?? n + 1);
        }
      }),
    );
  });
});

describe("turn index", () => {
  test("each actor finds its own turns in order", () => {
    const log = new TurnLog();
    const actors = [new TurnIndex(log), new TurnIndex(log), new TurnIndex(log)];
    for (let i = 0; i < 200_000; i++) actors[i % 3]!.add(i, i * 2, i % 100);
    actors[2]!.clear();
    expect(actors[2]!.length).toBe(0);
    for (const [which, actor] of actors.slice(0, 2).entries()) {
      const turns = [...actor.numbers()].map((number) => actor.turn(number));
      expect(turns.length).toBe(actor.length);
      const expected = turns.map((_turn, i) => {
        const number = i * 3 + which;
        return { turn: number, message: number * 2, messageBytes: number % 100 };
      });
      expect(turns).toEqual(expected);
    }
  });

  test("a position holds a sequence and an offset", () => {
    const position = logPosition(4_000_000_123, 2_000_001);
    expect(sequenceOf(position)).toBe(4_000_000_123);
    expect(offsetOf(position)).toBe(2_000_001);
  });
});

describe("client ids", () => {
  const reply = { kind: "reply", envelope: Buffer.alloc(100) } as const;

  test("the first outcome stays", () => {
    const ids = new ClientIds(10, 10_000, 1000);
    ids.accept("a", 0, 1, true);
    ids.complete("a", reply);
    ids.complete("a", { kind: "failure", code: "AGENT_FAILED", reason: "later" });
    expect(ids.get("a")?.outcome).toBe(reply);
  });

  test("no id goes before its window, nor while its ask is pending; then room comes back", () => {
    const ids = new ClientIds(2, 10_000, 1000);
    ids.accept("pending", 0, 1, true);
    ids.accept("sent", 10, 1, false);
    expect(ids.hasRoom(999)).toBe(false);
    expect(ids.get("sent")).toBeDefined();
    expect(ids.hasRoom(1010)).toBe(true);
    expect(ids.get("sent")).toBeUndefined();
    expect(ids.get("pending")).toBeDefined();
    ids.complete("pending", reply);
    ids.expire(1010);
    expect(ids.size).toBe(0);
  });

  test("one that was answered after its window goes first, none that others may still repeat", () => {
    for (const isRestored of [false, true]) {
      let ids = new ClientIds(3, 10_000, 1000);
      ids.accept("late", 0, 1, true);
      ids.accept("kept", 600, 2, false);
      ids.expire(1100);
      if (isRestored) {
        const entries = [...ids.values()];
        ids = new ClientIds(3, 10_000, 1000);
        for (const { id, acceptedAtMs, frame, wantsReply } of entries) {
          ids.accept(id, acceptedAtMs, frame, wantsReply);
        }
      }
      ids.complete("late", reply);
      ids.accept("third", 1200, 3, false);
      expect(ids.hasRoom(1300)).toBe(true);
      ids.accept("fourth", 1300, 4, false);
      expect([...ids.values()].map(({ id }) => id)).toEqual(["kept", "third", "fourth"]);
    }
  });

  test("one that is accepted again is the newest, and takes no room twice", () => {
    const ids = new ClientIds(3, 10_000, 1000);
    ids.accept("again", 500, 1, false);
    ids.complete("again", reply);
    ids.accept("second", 500, 1, false);
    // Its acceptance was dated late: where it was accepted again its window had passed.
    ids.accept("again", 1400, 2, false);
    expect([...ids.values()].map(({ id }) => id)).toEqual(["second", "again"]);
    ids.accept("third", 1400, 2, false);
    ids.accept("fourth", 1500, 3, false);
    expect([...ids.values()].map(({ id }) => id)).toEqual(["again", "third", "fourth"]);
    ids.expire(2500);
    expect(ids.size).toBe(0);
    const large = new ClientIds(10, 200, 1000);
    for (let n = 0; n < 5; n++) large.accept("again", 0, n, false);
    expect(large.hasRoom(0)).toBe(true);
  });

  test("replies count against the bytes", () => {
    const ids = new ClientIds(100, 200, 1000);
    ids.accept("a", 0, 1, true);
    expect(ids.hasRoom(0)).toBe(true);
    ids.complete("a", { kind: "reply", envelope: Buffer.alloc(500) });
    expect(ids.hasRoom(0)).toBe(false);
    expect(ids.hasRoom(1000)).toBe(true);
  });
});
