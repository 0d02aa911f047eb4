import { Command } from "commander";
import type { Agent, DeployStage } from "../../src/gen/caxton/v1/agent.ts";
import { type DeployOptions, readAgent } from "../agent-source.ts";
import { agentName } from "../arguments.ts";
import { type Column, note, timeText } from "../output.ts";
import { enumName } from "../plain.ts";
import { inSession, type Session } from "../session.ts";
import { logsCommand } from "./agent-logs.ts";

/** Compiling sources and the sandbox run take their time. */
const DEPLOY_TIMEOUT_MS = 120_000;

const COLUMNS: readonly Column<Agent>[] = [
  { title: "NAMESPACE", value: (agent) => agent.namespace },
  { title: "NAME", value: (agent) => agent.name },
  { title: "STATUS", value: (agent) => agent.status },
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
  const command = new Command("agent").description("deploy agents and look after them");
  command
    .command("deploy")
    .description("deploy a .wasm module, an AssemblyScript file, or a folder with agent.yaml")
    .argument("<path>", "file or folder")
    .option("--name <name>", "name of the agent (default: from the manifest or the file name)")
    .option("--namespace <namespace>", "namespace of the agent")
    .option("--manifest <file>", "manifest, YAML or JSON")
    .option("--reset-memory", "drop what live actors keep in memory if the code changed", false)
    .action((path: string, options: DeployOptions & { resetMemory: boolean }, own: Command) =>
      inSession(own, (session) => deploy(session, path, options)),
    );
  command
    .command("list")
    .description("list agents")
    .option("--namespace <namespace>", "only this namespace", "")
    .action((options: { namespace: string }, own: Command) =>
      inSession(own, async ({ client, printer }) => {
        const agents = client.agents();
        const answer = await client.call(agents.listAgents.bind(agents), options);
        printer.rows(answer.agents, COLUMNS);
      }),
    );
  addNamedCommands(command);
  command.addCommand(logsCommand());
  return command;
}

function addNamedCommands(command: Command): void {
  const argument = ["<agent>", "name, or namespace/name"] as const;
  command
    .command("inspect")
    .description("show one agent with the limits in force")
    .argument(...argument)
    .action((text: string, _: object, own: Command) =>
      inSession(own, async ({ client, printer }) => {
        const agents = client.agents();
        const { agent } = await client.call(agents.getAgent.bind(agents), agentName(text));
        printer.facts(agent!, FACTS);
      }),
    );
  command
    .command("delete")
    .description("delete an agent, its actors and their state")
    .argument(...argument)
    .action((text: string, _: object, own: Command) =>
      inSession(own, async ({ client, printer }) => {
        const agents = client.agents();
        const answer = await client.call(agents.deleteAgent.bind(agents), agentName(text));
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
        const agents = client.agents();
        const request = { ...agentName(text), reason };
        const answer = await client.call(agents.suspendAgent.bind(agents), request);
        printer.sentence(`${text} is suspended`, answer.agent);
      }),
    );
  command
    .command("resume")
    .description("handle messages again")
    .argument(...argument)
    .action((text: string, _: object, own: Command) =>
      inSession(own, async ({ client, printer }) => {
        const agents = client.agents();
        const answer = await client.call(agents.resumeAgent.bind(agents), agentName(text));
        printer.sentence(`${text} runs`, answer.agent);
      }),
    );
}

async function deploy(
  { client, printer }: Session,
  path: string,
  options: DeployOptions & { resetMemory: boolean },
): Promise<void> {
  const request = { ...readAgent(path, options), resetMemory: options.resetMemory };
  const agents = client.agents();
  const answer = await client.call(agents.deployAgent.bind(agents), request, DEPLOY_TIMEOUT_MS);
  const { namespace, name, version } = answer.agent!;
  const outcome = answer.changed ? "is deployed" : "is unchanged";
  printer.sentence(`${namespace}/${name} ${outcome}, version ${version.slice(0, 12)}`, answer);
  if (!printer.isForPrograms) answer.stages.forEach((stage) => reportStage(stage, printer.isWide));
}

function reportStage(stage: DeployStage, isWide: boolean): void {
  const facts = isWide ? ` ${pairs(stage.facts)}` : "";
  note(`  ${enumName(stage.stage)}: passed in ${stage.durationMs.toFixed(1)} ms${facts}`);
  for (const { at, message } of stage.findings) note(`    - ${at}: ${message}`);
}

function pairs(values: Readonly<Record<string, unknown>>): string {
  return Object.entries(values)
    .map(([key, value]) => `${key}=${String(value)}`)
    .join(" ");
}
