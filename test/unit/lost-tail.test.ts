import { describe, expect, test } from "vitest";
import { findLostTail } from "../../src/actors/lost-tail.ts";
import type { RecoveredTail } from "../../src/actors/lost-tail.ts";

/** Two partitions; 3 sends to 5. */
function tails(takenN: number, newestN: number, n: number): RecoveredTail[] {
  const cursors = n === 0 ? [] : ([[3, n]] as const);
  return [
    { partition: 3, cursors: [], sent: [{ destination: 5, takenN, newestN }] },
    { partition: 5, cursors, sent: [] },
  ];
}

describe("what partitions say of each other", () => {
  test("goes together when what was sent was taken or waits", () => {
    expect(findLostTail([])).toBeUndefined();
    expect(findLostTail(tails(0, 0, 0))).toBeUndefined();
    expect(findLostTail(tails(0, 4, 0))).toBeUndefined();
    expect(findLostTail(tails(2, 4, 2))).toBeUndefined();
    expect(findLostTail(tails(2, 4, 4))).toBeUndefined();
  });

  test("shows a log that ends before what another has taken of it", () => {
    const text = "partition 5 has taken message 4 of partition 3, whose log ends with 3";
    expect(findLostTail(tails(2, 3, 4))).toBe(text);
    const [, taker] = tails(0, 0, 1);
    const sender = { partition: 3, cursors: [], sent: [] };
    expect(findLostTail([sender, taker!])).toContain("ends with 0");
  });

  test("shows a log that ends before what it had told another", () => {
    const text = "partition 5 had taken message 2 of partition 3, now its log ends with 1";
    expect(findLostTail(tails(2, 4, 1))).toBe(text);
    expect(findLostTail(tails(1, 1, 0))).toContain("ends with 0");
  });
});
