/** The command line: nouns, their verbs, and what all of them share. */
import { Command, Help, Option } from "commander";
import { EXIT, EXIT_TEXT, type ExitName } from "../src/base/exit-codes.ts";
import { VERSION } from "../src/base/version.ts";
import { actorCommand } from "./commands/actor.ts";
import { agentCommand } from "./commands/agent.ts";
import { configCommand } from "./commands/config.ts";
import { completeCommand, completionCommand } from "./commands/completion.ts";
import { deadLetterCommand } from "./commands/dead-letter.ts";
import { messageCommand } from "./commands/message.ts";
import { healthCommand, nodeCommand } from "./commands/node.ts";
import { stateCommand } from "./commands/state.ts";
import { supervisorCommand } from "./commands/supervisor.ts";
import { supportCommand } from "./commands/support.ts";
import { topCommand } from "./commands/top.ts";
import { versionCommand } from "./commands/version.ts";
import { OUTPUTS, outputFormat, TABLE } from "./output-format.ts";

const ENDPOINT_DEFAULT = "127.0.0.1:50051";
const HELP_WIDTH = 100;
/** Runs in a process of its own: this program speaks only the wire. */
const SERVER_FILE = "../src/main.ts";
const STORAGE_FILE = "../src/storage-main.ts";

export function createProgram(showGlobalOptions = true): Command {
  const program = new Command("caxton")
    .description("Caxton runs durable WebAssembly agents.")
    .version(VERSION, "-V, --version", "version of this program")
    .addOption(
      new Option("--endpoint <host:port>", "server to talk to")
        .env("CAXTON_ENDPOINT")
        .default(ENDPOINT_DEFAULT),
    )
    .addOption(
      new Option("-o, --output <format>", `how answers are printed: ${OUTPUTS}`)
        .argParser(outputFormat)
        .default(TABLE, TABLE.kind),
    )
    .option("--no-color", "no colours, also on a terminal; NO_COLOR does the same")
    .command("server", "start a node", { executableFile: SERVER_FILE })
    .command("storage", "work on stored data while no node uses it", {
      executableFile: STORAGE_FILE,
    })
    .addHelpText("after", `\n${exitCodeHelp()}`);
  for (const command of [
    agentCommand(),
    messageCommand(),
    actorCommand(),
    stateCommand(),
    deadLetterCommand(),
    supervisorCommand(),
    nodeCommand(),
    configCommand(),
    topCommand(),
    supportCommand(),
    healthCommand(),
    completionCommand(),
    versionCommand(),
  ]) {
    program.addCommand(command);
  }
  program.addCommand(completeCommand(program), { hidden: true });
  everyCommand(program, (command) => {
    command
      .configureHelp({ helpWidth: HELP_WIDTH, showGlobalOptions, optionDescription })
      .showHelpAfterError("(--help shows what is possible)")
      .exitOverride((error) => process.exit(error.exitCode === 0 ? EXIT.ok : EXIT.usage));
  });
  return program;
}

function everyCommand(command: Command, apply: (command: Command) => void): void {
  apply(command);
  for (const inner of command.commands) everyCommand(inner, apply);
}

/** Leaves out defaults that say nothing: empty texts and lists, switches that are off. */
function optionDescription(option: Option): string {
  const byDefault = option.defaultValue as unknown;
  const isEmpty =
    byDefault === false ||
    byDefault === "" ||
    (typeof byDefault === "object" && Object.keys(byDefault ?? {}).length === 0);
  return isEmpty ? option.description : new Help().optionDescription(option);
}

function exitCodeHelp(): string {
  const rows = (Object.keys(EXIT) as ExitName[]).map(
    (name) => `  ${String(EXIT[name]).padEnd(4)} ${EXIT_TEXT[name]}`,
  );
  return ["Exit codes:", ...rows].join("\n");
}
