import { expect, test } from "vitest";
import { fuzzRewriter } from "./fuzz.ts";

const MODULES = 700;

test("random modules are refused cleanly or stay within their caps", { timeout: 60_000 }, () => {
  const { violations, ...counts } = fuzzRewriter({ modules: MODULES, seed: 20_261_122 });
  expect(violations).toEqual([]);
  expect(counts.modules).toBe(MODULES);
  expect(counts.accepted).toBeGreaterThan(MODULES / 5);
  // A run in which nothing was stopped or compared would prove nothing.
  for (const count of [counts.refused, counts.stoppedByFuel, counts.stoppedByDepth]) {
    expect(count).toBeGreaterThan(20);
  }
  expect(counts.compared).toBeGreaterThan(200);
});
