import { describe, expect, test } from "vitest";
import { Coverage } from "./coverage.ts";
import { simulate } from "./simulate.ts";

/** In small portions: the first that fails is in the name of its test. */
const SEEDS = 300;
const PORTION = 25;

const coverage = new Coverage();

describe("every promise holds, whatever fails", () => {
  for (let first = 1; first <= SEEDS; first += PORTION) {
    test(`seeds ${first} to ${first + PORTION - 1}`, () => {
      for (let seed = first; seed < first + PORTION; seed++) {
        const result = simulate(seed);
        coverage.add(result.coverage);
        expect(result.failure?.message, `npm run sim -- --seeds 1 --seed ${seed}`).toBeUndefined();
      }
    });
  }

  test("every fault and every branch came up", () => {
    expect(coverage.missing()).toEqual([]);
  });
});

test("the same seed gives the same frames", () => {
  const [first, second] = [simulate(7), simulate(7)];
  expect(first.hash).not.toBe(0);
  expect(second.hash).toBe(first.hash);
  expect(simulate(8).hash).not.toBe(first.hash);
});
