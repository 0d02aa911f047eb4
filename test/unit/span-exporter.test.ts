import { expect, test } from "vitest";
import { createLog } from "../../src/base/log.ts";
import { SpanExporter } from "../../src/base/span-exporter.ts";
import { newSpanId, newTraceId, type Span } from "../../src/base/trace.ts";
import { startCollector } from "../support/collector.ts";

function span(name: string): Span {
  return {
    traceId: newTraceId(),
    spanId: newSpanId(),
    parentId: undefined,
    name,
    kind: "internal",
    startMs: 1_700_000_000_000.125,
    endMs: 1_700_000_000_001,
    attributes: { text: "x", number: 2.5 },
    error: undefined,
  };
}

function exporter(endpoint: string) {
  const counts = { exported: 0, dropped: 0 };
  const log = createLog({ level: "silent", format: "json" });
  const complaints: unknown[] = [];
  log.warn = (fields: unknown) => void complaints.push(fields);
  const made = new SpanExporter({
    endpoint,
    nodeId: "n",
    log,
    counted: (outcome, spans) => {
      counts[outcome] += spans;
    },
  });
  return { made, counts, complaints };
}

test("stopping sends what waits, in the order it came", async () => {
  const collector = await startCollector();
  const { made, counts } = exporter(`${collector.endpoint}/`);
  const names = Array.from({ length: 1500 }, (_, i) => `span ${i}`);
  for (const name of names) made.add(span(name));
  await made.stop();
  await collector.stop();
  expect(collector.spans.map(({ name }) => name)).toEqual(names);
  expect(counts).toEqual({ exported: 1500, dropped: 0 });
  expect(collector.spans[0]).toMatchObject({
    parentSpanId: undefined,
    start: 1_700_000_000_000_125_000n,
    end: 1_700_000_000_001_000_000n,
    attributes: { text: "x", number: 2.5 },
    error: undefined,
  });
});

test("without a collector spans are dropped, counted, and complained about once", async () => {
  const collector = await startCollector();
  await collector.stop();
  const { made, counts, complaints } = exporter(collector.endpoint);
  for (let i = 0; i < 10_000; i++) made.add(span("lost"));
  await made.stop();
  expect(counts).toEqual({ exported: 0, dropped: 10_000 });
  expect(complaints).toEqual([{ url: `${collector.endpoint}/v1/traces`, why: expect.any(String) }]);
});
