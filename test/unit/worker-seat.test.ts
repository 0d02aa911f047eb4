/** How soon a worker that died is replaced. */
import { expect, test } from "vitest";
import { noteDeath, seatsOf } from "../../src/actors/worker-seat.ts";

const [seat] = seatsOf(1, 4);

function dieAfter(livedMs: number): number {
  seat!.bornMs += 1_000_000;
  return noteDeath(seat!, seat!.bornMs + livedMs);
}

test("workers that die young are replaced more and more slowly, the next one of one that lived soon again", () => {
  expect([10, 10, 10].map(dieAfter)).toEqual([100, 200, 400]);
  for (let i = 0; i < 20; i++) dieAfter(59_000);
  expect(dieAfter(59_000)).toBe(30_000);
  expect(dieAfter(60_000)).toBe(100);
  expect(dieAfter(10)).toBe(200);
  expect(seat!.restarts).toBe(26);
});
