import { Command, Option } from "commander";
import type { DeployAgentRequest, DeployStage } from "../../src/gen/caxton/v1/agent.ts";
import { type DeployOptions as SourceOptions, readAgent } from "../agent-source.ts";
import { note, pairs } from "../output.ts";
import { enumName } from "../plain.ts";
import { inSession, type Session } from "../session.ts";

interface DeployOptions extends SourceOptions {
  readonly resetMemory: boolean;
  readonly watch: boolean;
}

export function deployCommand(): Command {
  return new Command("deploy")
    .description("deploy a .wasm module, a source file, or a folder with agent.yaml")
    .argument("<path>", "file or folder")
    .option("--name <name>", "name of the agent (default: from the manifest or the file name)")
    .option("--namespace <namespace>", "namespace of the agent")
    .option("--manifest <file>", "manifest, YAML or JSON")
    .addOption(
      new Option("--lang <lang>", "language of a single source file (default: ts)").choices([
        "ts",
        "as",
      ]),
    )
    .option("--reset-memory", "drop what live actors keep in memory if the code changed", false)
    .option("--watch", "deploy again whenever a file changes, until interrupted", false)
    .action((path: string, options: DeployOptions, own: Command) =>
      inSession(own, async (session) => {
        const read = (): DeployAgentRequest => ({
          ...readAgent(path, options),
          resetMemory: options.resetMemory,
        });
        const send = (request: DeployAgentRequest) => deploy(session, request);
        if (!options.watch) return send(read());
        const { redeployOnChange } = await import("../watch.ts");
        return redeployOnChange(path, read, send);
      }),
    );
}

async function deploy({ client, printer }: Session, request: DeployAgentRequest): Promise<void> {
  const answer = await client.deploy(request);
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
