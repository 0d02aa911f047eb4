/** The command line of the server's process. */
import { Command, Option } from "commander";
import { EXIT } from "./base/exit-codes.ts";
import { VERSION } from "./base/version.ts";

const HELP_WIDTH = 100;

export interface ServerOptions {
  readonly config?: string;
  readonly set?: readonly string[];
  readonly storage?: string;
  readonly insecure?: boolean;
  readonly portsFile?: string;
  readonly stopOnEof?: boolean;
  readonly daemon?: boolean;
}

export function serverCommand(): Command {
  return (
    new Command("caxton server")
      .description("Start a node and run it until it gets SIGTERM or SIGINT.")
      .option("-c, --config <file>", "configuration, YAML; docs/configuration.md lists the keys")
      .option("-s, --set <key=value>", "set one key, wins over file and environment", collect)
      .addOption(
        new Option(
          "--storage <engine>",
          "what keeps messages and state; as --set storage.engine=<engine>",
        ).choices(["embedded", "jetstream"]),
      )
      .option(
        "--insecure",
        "allow listening beyond this machine although nothing authenticates callers",
      )
      .option("--ports-file <file>", "write the open ports there as JSON once the node is ready")
      .option("--stop-on-eof", "stop when standard input ends: with whoever started the node")
      // Known so that it can be refused with a reason.
      .addOption(new Option("--daemon").hideHelp())
      .version(VERSION)
      .configureHelp({ helpWidth: HELP_WIDTH })
      .exitOverride((error) => process.exit(error.exitCode === 0 ? EXIT.ok : EXIT.usage))
  );
}

function collect(value: string, earlier: readonly string[] = []): string[] {
  return [...earlier, value];
}
