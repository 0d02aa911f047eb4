/** `caxton storage`: work on stored data while no node uses it. */
import { Command, Option } from "commander";
import { loadConfig } from "./base/config.ts";
import type { Config } from "./base/config-schema.ts";
import { CaxtonError } from "./base/errors.ts";
import { EXIT } from "./base/exit-codes.ts";
import { createLog } from "./base/log.ts";
import { VERSION } from "./base/version.ts";
import { copyStorage, openStorage, type OpenedStorage, partitionsOf } from "./storage/index.ts";

const HELP_WIDTH = 100;
const ENGINES = ["embedded", "jetstream"] as const;
type Engine = (typeof ENGINES)[number];

interface CopyCommand {
  readonly from: Engine;
  readonly to: Engine;
  readonly toDirectory: string;
  readonly config?: string;
  readonly set?: readonly string[];
}

export function storageCommand(): Command {
  const command = new Command("caxton storage")
    .description("Work on stored data while no node uses it.")
    .version(VERSION);
  command
    .command("copy")
    .description(
      "Copy all messages, state and agents from one storage engine to the other, and compare them. Neither side may be in use.",
    )
    .addOption(engineOption("--from <engine>", "engine of storage.directory"))
    .addOption(engineOption("--to <engine>", "engine of the copy"))
    .requiredOption("--to-directory <directory>", "storage.directory of the copy; has to be empty")
    .option("-c, --config <file>", "configuration of the node whose data it is")
    .option("-s, --set <key=value>", "set one key, wins over file and environment", collect)
    .action(copy);
  for (const each of [command, ...command.commands]) {
    each
      .configureHelp({ helpWidth: HELP_WIDTH })
      .exitOverride((error) => process.exit(error.exitCode === 0 ? EXIT.ok : EXIT.usage));
  }
  return command;
}

function engineOption(flags: string, description: string): Option {
  return new Option(flags, description).choices(ENGINES).makeOptionMandatory();
}

function collect(value: string, earlier: readonly string[] = []): string[] {
  return [...earlier, value];
}

async function copy({ from, to, toDirectory, config: file, set = [] }: CopyCommand): Promise<void> {
  if (from === to) throw new CaxtonError("INVALID_CONFIG", `--from and --to are both ${from}.`);
  // The settings of NATS count for either side.
  const sets = [...set, "storage.engine=jetstream"];
  const config = loadConfig({ ...(file !== undefined && { file }), env: process.env, sets });
  const source = await open(config, from, config.storage.directory);
  if (!source.storage.opening.clean) {
    const text = "The data was not left by a clean stop. Start the node on it once and stop it.";
    throw new CaxtonError("INVALID_CONFIG", text);
  }
  const partitions = { count: await partitionsOf(source.storage) };
  const target = await open({ ...config, partitions }, to, toDirectory);
  const report = await copyStorage({
    from: source.storage,
    to: target.storage,
    progress: showProgress(),
  });
  await target.close();
  await source.close();
  const { frames, frameBytes, records, blobs, blobBytes } = report;
  process.stdout.write(
    `copied and compared: ${report.partitions} partitions, ${frames} frames (${frameBytes} bytes), ` +
      `${records} records, ${blobs} blobs (${blobBytes} bytes)\n` +
      `start the copy with storage.engine=${to} and storage.directory=${toDirectory}\n`,
  );
}

function open(config: Config, engine: Engine, directory: string): Promise<OpenedStorage> {
  const log = createLog({ ...config.log, level: "warn" });
  const storage = { ...config.storage, engine, directory };
  const onFailed = (err: CaxtonError): void => log.fatal({ err }, "storage failed");
  return openStorage({ config: { ...config, storage }, log, env: process.env, onFailed });
}

/** One line that is written over, where somebody watches. */
function showProgress(): (what: string, done: number, of: number) => void {
  if (!process.stderr.isTTY) return () => undefined;
  return (what, done, of) => {
    process.stderr.write(`\r\x1b[K${done} of ${of} ${what}${done === of ? "\n" : ""}`);
  };
}
