/** `caxton top` as lines of text. */
import { type Column, exactTimeText, tableLines } from "./output.ts";
import { bold, printable, statusStyled, styled } from "./style.ts";
import type { AgentFigures, ShardFigures, TopFigures } from "./top-figures.ts";

export const SORTS = ["rate", "actors", "failed", "name"] as const;
export type Sort = (typeof SORTS)[number];

const AGENT_COLUMNS: readonly Column<AgentFigures>[] = [
  { title: "AGENT", value: (row) => row.agent },
  { title: "STATUS", value: (row) => row.status, isStatus: true },
  { title: "ACTORS", value: (row) => count(row.actors) },
  { title: "HANDLED/S", value: (row) => count(row.handledPerSecond) },
  { title: "FAILED/S", value: (row) => count(row.failedPerSecond) },
  { title: "HANDLED", value: (row) => count(row.handled) },
];

const LOAD_COLUMNS: readonly Column<ShardFigures>[] = [
  { title: "READY", value: (row) => (row.ready ? "yes" : "no"), isStatus: true },
  { title: "ACTORS", value: (row) => count(row.actors) },
  { title: "PENDING", value: (row) => count(row.pending) },
  { title: "TURNS/S", value: (row) => count(row.turnsPerSecond) },
  { title: "FAILED/S", value: (row) => count(row.failedPerSecond) },
];

const WORKER_COLUMNS: readonly Column<ShardFigures>[] = [
  { title: "WORKER", value: (row) => row.worker },
  { title: "PARTITIONS", value: (row) => row.partitions.length },
  ...LOAD_COLUMNS,
];

const PARTITION_COLUMNS: readonly Column<ShardFigures>[] = [
  { title: "PARTITION", value: (row) => row.partitions.join() },
  { title: "WORKER", value: (row) => row.worker },
  ...LOAD_COLUMNS,
];

const ORDER: Readonly<Record<Sort, (a: AgentFigures, b: AgentFigures) => number>> = {
  rate: (a, b) => b.handledPerSecond - a.handledPerSecond,
  actors: (a, b) => b.actors - a.actors,
  failed: (a, b) => b.failedPerSecond - a.failedPerSecond,
  name: (a, b) => a.agent.localeCompare(b.agent),
};

/** `linesMax`: what fits. Agents and partitions share what workers and the head leave. */
export function topLines(figures: TopFigures, sort: Sort, linesMax = Infinity): string[] {
  const head = headLines(figures);
  const workers = tableLines(figures.workers, WORKER_COLUMNS);
  const agents = [...figures.agents].sort(ORDER[sort]);
  const partitions = [...figures.partitions].sort(
    (a, b) => b.turnsPerSecond - a.turnsPerSecond || b.pending - a.pending,
  );
  // Three empty lines, and the heads of two tables.
  const room = Math.max(2, linesMax - head.length - workers.length - 5);
  const partitionsMax = Math.max(Math.floor(room / 2), room - agents.length);
  const shownPartitions = partitions.slice(0, partitionsMax);
  const shownAgents = agents.slice(0, Math.max(1, room - shownPartitions.length));
  const lines = [
    ...[...head, "", ...workers, ""],
    ...[...tableLines(shownAgents, AGENT_COLUMNS), ""],
    ...tableLines(shownPartitions, PARTITION_COLUMNS),
  ];
  return lines.slice(0, linesMax);
}

function headLines(figures: TopFigures): string[] {
  const { node, atMs, total, deadLetters, commitsPerSecond, cpuCores } = figures;
  const { nodeId, version, startedAtMs, ready, notReady, storage, workers } = node;
  const state = ready ? "ready" : `no: ${notReady.join("; ")}`;
  const upText = `up ${durationText(atMs - startedAtMs)}`;
  const { bytes = 0, bytesMax = 0, full = false } = storage ?? {};
  const share = bytesMax === 0 ? "" : ` of ${bytesText(bytesMax)}`;
  const storageText = `storage ${bytesText(bytes)}${share}`;
  return [
    [bold(printable(nodeId)), version, upText, statusStyled(printable(state))].join("   ") +
      `   ${exactTimeText(atMs).slice(11, 19)}Z`,
    facts([
      ["turns/s", count(total.turnsPerSecond)],
      ["failed/s", count(total.failedPerSecond)],
      ["commits/s", count(commitsPerSecond)],
      ["pending", count(total.pending)],
      ["dead letters", count(deadLetters)],
    ]),
    facts([
      ["cpu", `${Math.round(cpuCores * 100)} %`],
      ["memory", bytesText(node.process?.rssBytes ?? 0)],
      ["workers", count(workers)],
      ["partitions", count(total.partitions.length)],
      ["actors", count(total.actors)],
    ]),
    full ? styled("red", `${storageText}, FULL`) : storageText,
  ];
}

function facts(values: readonly (readonly [string, string])[]): string {
  return values.map(([name, value]) => `${name} ${bold(value)}`).join("   ");
}

/** `1,234`, and one digit behind the point below ten. */
function count(value: number): string {
  const maximumFractionDigits = value < 10 ? 1 : 0;
  return value.toLocaleString("en", { maximumFractionDigits });
}

function bytesText(bytes: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${count(bytes / 1024 ** power)} ${units[power]}`;
}

function durationText(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24];
  if (days > 0) return `${days}d ${hours}h`;
  return hours > 0 ? `${hours}h ${minutes % 60}m` : `${minutes}m ${Math.floor(ms / 1000) % 60}s`;
}
