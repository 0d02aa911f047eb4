import { Command } from "commander";
import { loadConfig, type ConfigSources, valueAt, variableName } from "../../src/base/config.ts";
import { configSchema } from "../../src/base/config-schema.ts";
import { type Setting as KnownSetting, settingsOf } from "../../src/base/schema.ts";
import type { Setting, SettingChange } from "../../src/gen/caxton/v1/node.ts";
import type { Column } from "../output.ts";
import { inSession, inWatchedSession, withWatch } from "../session.ts";

const IN_FORCE: readonly Column<Setting>[] = [
  { title: "KEY", value: ({ key }) => key, isName: true },
  { title: "VALUE", value: ({ value }) => value },
  { title: "SOURCE", value: ({ source }) => source },
  { title: "CHANGES BY", value: ({ reloadable }) => changesBy(reloadable), wide: true },
];

const KNOWN: readonly Column<KnownSetting>[] = [
  { title: "KEY", value: ({ path }) => path, isName: true },
  { title: "DEFAULT", value: ({ defaultText }) => defaultText ?? "" },
  { title: "VARIABLE", value: ({ path }) => variableName(path) },
  { title: "CHANGES BY", value: ({ isReloadable }) => changesBy(isReloadable), wide: true },
  { title: "MEANING", value: ({ description }) => description },
];

interface Difference {
  readonly key: string;
  readonly running: string;
  readonly file: string;
  readonly reloadable: boolean;
}

const DIFFERENCES: readonly Column<Difference>[] = [
  { title: "KEY", value: ({ key }) => key, isName: true },
  { title: "RUNNING", value: ({ running }) => running },
  { title: "FILE", value: ({ file }) => file },
  { title: "CHANGES BY", value: ({ reloadable }) => changesBy(reloadable) },
];

export function configCommand(): Command {
  const command = new Command("config").description("the server's configuration");
  command
    .command("validate <file>")
    .description("check a file; needs no server")
    .action((file: string, _: object, own: Command) =>
      inSession(own, ({ printer }) => {
        loadConfig(sourcesOf(file));
        printer.sentence(`${file} is valid.`, { valid: true });
      }),
    );
  withWatch(command.command("show"))
    .description("settings in force on the server, and where each comes from")
    .action((_: object, own: Command) =>
      inWatchedSession(own, async ({ client, printer }) => {
        const { settings } = await client.node.getConfig({});
        printer.rows(settings, IN_FORCE);
      }),
    );
  command
    .command("diff <file>")
    .description("what the server has otherwise than a file says")
    .action((file: string, _: object, own: Command) =>
      inSession(own, async ({ client, printer }) => {
        const wanted = loadConfig(sourcesOf(file));
        const { settings } = await client.node.getConfig({});
        const differences = settings.flatMap(({ key, value, reloadable }) => {
          const inFile = JSON.stringify(valueAt(wanted, key) ?? null);
          return inFile === value ? [] : [{ key, running: value, file: inFile, reloadable }];
        });
        printer.rows(differences, DIFFERENCES);
      }),
    );
  command
    .command("reload")
    .description("have the server read its configuration again, as SIGHUP does")
    .action((_: object, own: Command) =>
      inSession(own, async ({ client, printer }) => {
        const answer = await client.node.reloadConfig({});
        printer.sentence(reloadText(answer.applied, answer.needsRestart), answer);
      }),
    );
  command
    .command("docs")
    .description("all keys with default, variable and meaning; needs no server")
    .action((_: object, own: Command) =>
      inSession(own, ({ printer }) => {
        printer.rows(settingsOf(configSchema), KNOWN);
      }),
    );
  return command;
}

/** Listening beyond this machine is the server's to refuse. */
function sourcesOf(file: string): ConfigSources {
  return { file, insecure: true };
}

function changesBy(isReloadable: boolean): string {
  return isReloadable ? "reload" : "restart";
}

function reloadText(applied: readonly SettingChange[], waiting: readonly SettingChange[]): string {
  const line = ({ key, before, after }: SettingChange): string => `  ${key}: ${before} -> ${after}`;
  const lines = [applied.length === 0 ? "Nothing has changed." : "Changed:", ...applied.map(line)];
  if (waiting.length > 0) lines.push("Needs a restart:", ...waiting.map(line));
  return lines.join("\n");
}
