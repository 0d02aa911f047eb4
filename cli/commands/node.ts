import { Command } from "commander";
import { EXIT } from "../../src/base/exit-codes.ts";
import type { NodeStatus, PartitionStatus } from "../../src/gen/caxton/v1/node.ts";
import { type Column, timeText } from "../output.ts";
import { inSession, inWatchedSession, type Session, withWatch } from "../session.ts";

const FACTS: readonly Column<NodeStatus>[] = [
  { title: "NODE", value: (status) => status.nodeId, isName: true },
  { title: "VERSION", value: (status) => status.version },
  { title: "STARTED", value: (status) => timeText(status.startedAtMs) },
  { title: "READY", value: readyText, isStatus: true },
  { title: "CPU-SECONDS", value: (status) => (status.process?.cpuSeconds ?? 0).toFixed(1) },
  { title: "MEMORY-BYTES", value: (status) => status.process?.rssBytes ?? 0 },
  { title: "WORKERS", value: (status) => status.workers },
  { title: "PARTITIONS", value: (status) => status.partitions.length },
  { title: "ACTORS", value: sum("actors") },
  { title: "PENDING", value: sum("pendingMessages") },
  { title: "DEAD-LETTERS", value: sum("deadLetters") },
  { title: "TURNS", value: sum("turns") },
  { title: "FAILED", value: sum("turnsFailed") },
  { title: "REPLAYED", value: sum("turnsReplayed") },
  { title: "STORAGE", value: (status) => storageText(status) },
];

const PARTITION_COLUMNS: readonly Column<PartitionStatus>[] = [
  { title: "PARTITION", value: (partition) => partition.partition },
  { title: "WORKER", value: (partition) => partition.worker },
  { title: "READY", value: (partition) => partition.ready },
  { title: "EPOCH", value: (partition) => partition.epoch },
  { title: "FRAME", value: (partition) => partition.frame },
  { title: "ACTORS", value: (partition) => partition.actors },
  { title: "PENDING", value: (partition) => partition.pendingMessages },
  { title: "DEAD-LETTERS", value: (partition) => partition.deadLetters },
  { title: "TURNS", value: (partition) => partition.turns },
  { title: "FAILED", value: (partition) => partition.turnsFailed },
  { title: "REPLAYED", value: (partition) => partition.turnsReplayed },
  { title: "RECOVERED", value: (partition) => partition.recoveredPending },
];

export function nodeCommand(): Command {
  const command = new Command("node").description("the node behind the endpoint");
  withWatch(command.command("status"))
    .description("show the node; -o wide adds partitions and limits")
    .action((_: object, own: Command) =>
      inWatchedSession(own, async (session) => {
        const status = await nodeStatus(session);
        const { printer } = session;
        printer.facts(status, FACTS);
        if (!printer.isWide) return;
        printer.lines([""]);
        printer.rows(status.partitions, PARTITION_COLUMNS);
        printer.lines([""]);
        printer.rows(Object.entries(status.limits), [
          { title: "LIMIT", value: ([name]) => name },
          { title: "VALUE", value: ([, value]) => value },
        ]);
      }),
    );
  return command;
}

export function healthCommand(): Command {
  return new Command("health")
    .description(`whether the node takes work; exit code ${EXIT.unavailable} when it does not`)
    .action((_: object, own: Command) =>
      inSession(own, async (session) => {
        const { ready, notReady } = await nodeStatus(session);
        const text = ready ? "ready" : `not ready: ${notReady.join("; ")}`;
        session.printer.sentence(text, { ready, notReady });
        if (!ready) process.exitCode = EXIT.unavailable;
      }),
    );
}

async function nodeStatus({ client }: Session): Promise<NodeStatus> {
  const { status } = await client.node.getStatus({});
  return status!;
}

function readyText(status: NodeStatus): string {
  return status.ready ? "yes" : `no: ${status.notReady.join("; ")}`;
}

function storageText({ storage }: NodeStatus): string {
  if (storage === undefined) return "";
  const { engine, directory, bytes, bytesMax, full } = storage;
  const { durability, durabilityVerified } = storage;
  const profile = `${durability}${durabilityVerified ? "" : " (unverified)"}`;
  return `${engine} ${directory}, ${profile}, ${bytes} of ${bytesMax} bytes${full ? ", FULL" : ""}`;
}

function sum(field: keyof PartitionStatus): (status: NodeStatus) => number {
  return (status) => status.partitions.reduce((total, part) => total + Number(part[field]), 0);
}
