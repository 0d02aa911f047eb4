/**
 * Kills a server under load and checks that nothing acknowledged was lost, doubled or reordered.
 * Usage: node scripts/crash.ts [--kills N] [--seed S] [--storage embedded|jetstream]
 */
import { parseArgs } from "node:util";
import { natsServerPath } from "../examples/wordcount/nats-server.ts";
import {
  type Engine,
  type Kill,
  POINTS,
  type Report,
  runCampaign,
} from "../test/crash/campaign.ts";

const KILLS_DEFAULT = 200;
/** Under less load a kill proves little. */
const IN_FLIGHT_MIN = 50;

const { values } = parseArgs({
  options: { kills: { type: "string" }, seed: { type: "string" }, storage: { type: "string" } },
});
const kills = Number(values.kills ?? KILLS_DEFAULT);
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32));
const storage = values.storage ?? "embedded";
if (!Number.isInteger(kills) || kills < 1 || !Number.isInteger(seed) || !isEngine(storage)) {
  console.error(
    "Usage: node scripts/crash.ts [--kills N] [--seed S] [--storage embedded|jetstream]",
  );
  process.exit(2);
}

if (storage === "jetstream") process.env["CAXTON_NATS_SERVER"] = natsServerPath();
console.log(`crash: ${kills} kills, --seed ${seed} --storage ${storage}`);
const report = await runCampaign({
  storage,
  kills,
  seed,
  killed: ({ point, inFlight }, number) => {
    const text = `  kill ${number} of ${kills}: ${point}, ${inFlight} requests in flight`;
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
    else if (number % 10 === 0) process.stderr.write(`${text}\n`);
  },
});
if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
console.log(`\n${table(report)}\n`);
const faults = faultsIn(report);
for (const fault of faults) console.log(`FAILED: ${fault}`);
if (faults.length === 0) console.log("nothing lost, doubled or reordered");
process.exitCode = faults.length === 0 ? 0 : 1;

function isEngine(name: string): name is Engine {
  return name in POINTS;
}

function table({ kills: all, ...report }: Report): string {
  const rows = POINTS[storage as Engine].map(
    (point) => [point, all.filter((kill) => kill.point === point)] as const,
  );
  const lines = [...rows, ["all", all] as const].map(([name, of]) => [
    name,
    of.length,
    of.length === 0 ? "-" : Math.min(...of.map((kill) => kill.inFlight)),
    sum(of, "answered"),
    sum(of, "resent"),
    sum(of, "duplicates"),
  ]);
  const head = ["killed at", "kills", "in flight >=", "acknowledged", "resent", "duplicates"];
  const cells = [head, ...lines.map((line) => line.map(String))];
  const widths = head.map((_, i) => Math.max(...cells.map((line) => line[i]!.length)));
  const text = cells.map((line) =>
    line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))),
  );
  return [
    ...text.map((line) => `  ${line.join("  ")}`),
    "",
    `  requests ${report.requests}, acknowledged ${report.answered}, resent ${report.resent}, duplicates recognised ${report.duplicates}`,
    `  lost ${report.lost}, doubled ${report.doubled}, out of order ${report.strays}, dead letters ${report.deadLetters}`,
    `  handlers found in the middle of an await ${report.awaits}`,
    `  nats-servers killed besides ${report.natsKills}`,
    `  deployments acknowledged ${report.deploys}, lost ${report.deploysLost}`,
  ].join("\n");
}

function sum(of: readonly Kill[], field: "answered" | "resent" | "duplicates"): number {
  return of.reduce((total, kill) => total + kill[field], 0);
}

function faultsIn(report: Report): string[] {
  const faults: string[] = [];
  for (const field of ["lost", "doubled", "strays", "deadLetters", "deploysLost"] as const) {
    if (report[field] > 0) faults.push(`${field} ${report[field]}`);
  }
  const idle = report.kills.filter((kill) => kill.inFlight < IN_FLIGHT_MIN);
  if (idle.length > 0)
    faults.push(`${idle.length} kills with less than ${IN_FLIGHT_MIN} in flight`);
  if (report.awaits === 0) faults.push("no kill in the middle of an await");
  if (report.answered !== report.requests) faults.push("requests without answer");
  return faults;
}
