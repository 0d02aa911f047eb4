import { expect, test } from "vitest";
import {
  formatTraceparent,
  newSpanId,
  newTraceId,
  parseTraceparent,
} from "../../src/base/trace.ts";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const spanId = "00f067aa0ba902b7";

test.each([
  ["00", true, "01"],
  ["00", true, "03"],
  ["00", false, "00"],
  ["cc", true, "01-more"],
])("a well-formed traceparent of version %s", (version, isSampled, flags) => {
  const context = parseTraceparent(`${version}-${traceId}-${spanId}-${flags}`);
  expect(context).toEqual({ traceId, spanId, isSampled });
  expect(parseTraceparent(formatTraceparent(context!))).toEqual(context);
});

test.each([
  "",
  traceId,
  `00-${traceId}-${spanId}`,
  `00-${traceId.toUpperCase()}-${spanId}-01`,
  `00-${"0".repeat(32)}-${spanId}-01`,
  `00-${traceId}-${"0".repeat(16)}-01`,
  `ff-${traceId}-${spanId}-01`,
  `00-${traceId}-${spanId}-01 x`,
])("%j is none", (traceparent) => {
  expect(parseTraceparent(traceparent)).toBeUndefined();
});

test("new ids differ, also beyond one pool of random bytes", () => {
  const traces = new Set(Array.from({ length: 1000 }, newTraceId));
  const spans = new Set(Array.from({ length: 1000 }, newSpanId));
  expect([traces.size, spans.size]).toEqual([1000, 1000]);
  for (const id of traces) expect(id).toMatch(/^[0-9a-f]{32}$/);
  for (const id of spans) expect(id).toMatch(/^[0-9a-f]{16}$/);
});
