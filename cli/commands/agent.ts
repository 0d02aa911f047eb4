import { Command } from "commander";
import type { Agent } from "../../src/gen/caxton/v1/agent.ts";
import { agentName } from "../arguments.ts";
import { confirm, withYes, type YesOptions } from "../confirm.ts";
import { type Column, pairs, timeText } from "../output.ts";
import { inSession, inWatchedSession, withWatch } from "../session.ts";
import { deployCommand } from "./agent-deploy.ts";
import { initCommand } from "./agent-init.ts";
import { logsCommand } from "./agent-logs.ts";
import { testCommand } from "./agent-test.ts";

const COLUMNS: readonly Column<Agent>[] = [
  { title: "NAMESPACE", value: (agent) => agent.namespace, isName: true },
  { title: "NAME", value: (agent) => agent.name, isName: true },
  { title: "STATUS", value: (agent) => agent.status, isStatus: true },
  { title: "VERSION", value: (agent) => agent.version.slice(0, 12) },
  { title: "ACTORS", value: (agent) => agent.actors },
  { title: "HANDLED", value: (agent) => agent.messagesHandled },
  { title: "FAILED", value: (agent) => agent.messagesFailed },
  { title: "DEPLOYED", value: (agent) => timeText(agent.deployedAtMs) },
  { title: "LANGUAGE", value: (agent) => agent.language, wide: true },
  { title: "BYTES", value: (agent) => agent.moduleBytes, wide: true },
  { title: "REASON", value: (agent) => agent.reason, wide: true },
];

const FACTS: readonly Column<Agent>[] = [
  ...COLUMNS.filter((column) => column.title !== "VERSION"),
  { title: "VERSION", value: (agent) => agent.version },
  { title: "DESCRIPTION", value: (agent) => agent.manifest?.description ?? "" },
  { title: "DURABILITY", value: (agent) => agent.manifest?.durability ?? "" },
  { title: "LIMITS", value: (agent) => pairs(agent.manifest?.limits ?? {}) },
  { title: "CONFIG", value: (agent) => pairs(agent.manifest?.config ?? {}) },
  { title: "FLAGS", value: (agent) => pairs(agent.manifest?.flags ?? {}) },
];

export function agentCommand(): Command {
  const command = new Command("agent").description("write agents, deploy and look after them");
  command.addCommand(initCommand());
  command.addCommand(testCommand());
  command.addCommand(deployCommand());
  withWatch(command.command("list"))
    .description("list agents")
    .option("--namespace <namespace>", "only this namespace", "")
    .action((options: { namespace: string }, own: Command) =>
      inWatchedSession(own, async ({ client, printer }) => {
        const answer = await client.agents.listAgents(options);
        printer.rows(answer.agents, COLUMNS);
      }),
    );
  addNamedCommands(command);
  command.addCommand(logsCommand());
  return command;
}

function addNamedCommands(command: Command): void {
  const argument = ["<agent>", "name, or namespace/name"] as const;
  withWatch(command.command("inspect"))
    .description("show one agent with the limits in force")
    .argument(...argument)
    .action((text: string, _: object, own: Command) =>
      inWatchedSession(own, async ({ client, printer }) => {
        const { agent } = await client.agents.getAgent(agentName(text));
        printer.facts(agent!, FACTS);
      }),
    );
  withYes(command.command("delete"))
    .description("delete an agent, its actors and their state")
    .argument(...argument)
    .action((text: string, options: YesOptions, own: Command) =>
      inSession(own, async ({ client, printer }) => {
        await confirm(`Delete ${text}, its actors and all their state?`, options);
        const answer = await client.agents.deleteAgent(agentName(text));
        printer.sentence(`${text} is deleted`, answer);
      }),
    );
  command
    .command("suspend")
    .description("stop handling messages; they are kept")
    .argument(...argument)
    .option("--reason <text>", "shown wherever the agent is", "")
    .action((text: string, { reason }: { reason: string }, own: Command) =>
      inSession(own, async ({ client, printer }) => {
        const request = { ...agentName(text), reason };
        const answer = await client.agents.suspendAgent(request);
        printer.sentence(`${text} is suspended`, answer.agent);
      }),
    );
  command
    .command("resume")
    .description("handle messages again")
    .argument(...argument)
    .action((text: string, _: object, own: Command) =>
      inSession(own, async ({ client, printer }) => {
        const answer = await client.agents.resumeAgent(agentName(text));
        printer.sentence(`${text} runs`, answer.agent);
      }),
    );
}
