/** What a scenario found out, as a table for people or one line of JSON for programs. */
export interface Report {
  readonly scenario: string;
  /** By name; the unit stands last in the name. */
  readonly figures: Readonly<Record<string, number>>;
  readonly ratios: Readonly<Record<string, number>>;
  readonly environment: Readonly<Record<string, string | number>>;
}

export function asJson(report: Report): string {
  const { scenario, environment } = report;
  const figures = rounded(report.figures);
  return JSON.stringify({ scenario, figures, ratios: rounded(report.ratios), environment });
}

export function asTable(report: Report): string {
  const sections = [
    ["figures", rounded(report.figures)],
    ["ratios", rounded(report.ratios)],
    ["environment", report.environment],
  ] as const;
  const lines = sections.flatMap(([title, values]) => {
    const rows = Object.entries(values);
    const width = Math.max(...rows.map(([name]) => name.length));
    const shown = rows.map(([name, value]) => `  ${name.padEnd(width)}  ${shownValue(value)}`);
    return rows.length === 0 ? [] : [`${title}:`, ...shown];
  });
  return [report.scenario, ...lines].join("\n");
}

function shownValue(value: string | number): string {
  return typeof value === "number" ? value.toLocaleString("en") : value;
}

/** Four significant digits; whole numbers stay whole. */
function rounded(values: Readonly<Record<string, number>>): Record<string, number> {
  const entries = Object.entries(values);
  return Object.fromEntries(entries.map(([name, value]) => [name, roundedValue(value)]));
}

function roundedValue(value: number): number {
  return value >= 1000 ? Math.round(value) : Number(value.toPrecision(4));
}
