import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { ApiMetrics } from "../../src/api/index.ts";
import dashboard from "../../deploy/grafana/caxton.json" with { type: "json" };

const DEPLOY = join(import.meta.dirname, "../../deploy");
/** Prometheus makes them itself. */
const OF_PROMETHEUS = ["up"];
const OF_HISTOGRAMS = /_(bucket|count|sum)$/;

const metrics = new ApiMetrics();
let known: ReadonlySet<string>;

beforeAll(async () => {
  const text = await metrics.render(undefined, undefined);
  known = new Set([...text.matchAll(/^# TYPE (\w+) /gm)].map(([, name]) => name!));
});
afterAll(() => metrics.close());

function unknownMetrics(expression: string): string[] {
  const withoutText = expression.replaceAll(/\{[^}]*\}|\[[^\]]*\]|\bby \([^)]*\)/g, "");
  const names = [...withoutText.matchAll(/\b[a-z]\w*\b(?! *\()/g)].map(([name]) => name);
  return names
    .filter((name) => name.includes("_") || OF_PROMETHEUS.includes(name))
    .filter((name) => !OF_PROMETHEUS.includes(name))
    .filter((name) => !known.has(name) && !known.has(name.replace(OF_HISTOGRAMS, "")));
}

describe("the dashboard", () => {
  test("shows only figures there are", () => {
    const expressions = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
    expect(expressions.length).toBeGreaterThan(20);
    expect(expressions.flatMap(unknownMetrics)).toEqual([]);
    expect(unknownMetrics('rate(caxton_turn_total{instance="x"}[5m])')).toEqual([
      "caxton_turn_total",
    ]);
  });

  test("says of every panel what it is, in a unit, from the chosen source", () => {
    for (const { description, fieldConfig, datasource, gridPos, targets } of dashboard.panels) {
      expect(description).toMatch(/\.$/);
      expect(fieldConfig.defaults.unit).toMatch(/./);
      expect(datasource.uid).toBe("${datasource}");
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
      expect(targets.length).toBeGreaterThan(0);
    }
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
  });
});

test("alerts watch only figures there are, and say what to do", () => {
  const { groups } = parse(readFileSync(join(DEPLOY, "prometheus/alerts.yaml"), "utf8")) as {
    groups: { rules: { expr: string; annotations: Record<string, string> }[] }[];
  };
  const rules = groups.flatMap((group) => group.rules);
  expect(rules.length).toBeGreaterThan(5);
  for (const { expr, annotations } of rules) {
    expect(unknownMetrics(expr)).toEqual([]);
    expect(Object.keys(annotations)).toEqual(["summary", "description"]);
  }
});
