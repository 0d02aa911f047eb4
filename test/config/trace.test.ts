import { expect, test } from "vitest";
import { newTraceId, traceIdOf } from "../../src/base/trace.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";

test("the trace id of a well-formed traceparent", () => {
  expect(traceIdOf(`00-${TRACE}-00f067aa0ba902b7-01`)).toBe(TRACE);
});

test.each([
  "",
  TRACE,
  `00-${TRACE}-00f067aa0ba902b7`,
  `00-${TRACE.toUpperCase()}-00f067aa0ba902b7-01`,
  `00-${"0".repeat(32)}-00f067aa0ba902b7-01`,
  `ff-${TRACE}-00f067aa0ba902b7-01`,
  `00-${TRACE}-00f067aa0ba902b7-01 x`,
])("%j has none", (traceparent) => {
  expect(traceIdOf(traceparent)).toBeUndefined();
});

test("new trace ids differ, also beyond one pool of random bytes", () => {
  const ids = new Set(Array.from({ length: 1000 }, newTraceId));
  expect(ids.size).toBe(1000);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{32}$/);
});
