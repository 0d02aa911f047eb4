import { Command } from "commander";
import type { SupervisorNode } from "../../src/gen/caxton/v1/supervisor.ts";
import { positiveInteger } from "../arguments.ts";
import { enumName } from "../plain.ts";
import { inWatchedSession, withWatch } from "../session.ts";

const ACTORS_DEFAULT = 20;

export function supervisorCommand(): Command {
  const command = new Command("supervisor").description("who watches over whom");
  withWatch(command.command("tree"))
    .description("show the tree of supervision")
    .option("--actors <n>", "actors shown per agent, at most 1000", positiveInteger, ACTORS_DEFAULT)
    .action(({ actors }: { actors: number }, own: Command) =>
      inWatchedSession(own, async ({ client, printer }) => {
        const request = { actorsMax: actors };
        const { root } = await client.supervisor.getTree(request);
        if (printer.isForPrograms) printer.document(root);
        else printer.lines([nodeText(root!), ...branches(root!, "")]);
      }),
    );
  return command;
}

function branches(node: SupervisorNode, indent: string): string[] {
  const omitted = node.omitted === 0 ? [] : [`... and ${node.omitted} more`];
  const entries = [...node.children, ...omitted];
  return entries.flatMap((entry, index) => {
    const isLast = index === entries.length - 1;
    const branch = `${indent}${isLast ? "└─ " : "├─ "}`;
    if (typeof entry === "string") return [`${branch}${entry}`];
    return [
      `${branch}${nodeText(entry)}`,
      ...branches(entry, `${indent}${isLast ? "   " : "│  "}`),
    ];
  });
}

function nodeText({ kind, name, status, strategy, restarts }: SupervisorNode): string {
  const extras = [strategy, restarts === 0 ? "" : `restarts=${restarts}`].filter((e) => e !== "");
  return [enumName(kind), name, status, ...extras].join(" ");
}
