import { Command } from "commander";
import type { StateEntry } from "../../src/gen/caxton/v1/state.ts";
import { positiveInteger } from "../arguments.ts";
import type { Column } from "../output.ts";
import { collectPages } from "../paging.ts";
import { textOf } from "../plain.ts";
import { inWatchedSession, withWatch } from "../session.ts";

const ROWS_DEFAULT = 1000;
const VALUE_LENGTH_MAX = 80;

const COLUMNS: readonly Column<StateEntry>[] = [
  { title: "KEY", value: (entry) => entry.key, isName: true },
  { title: "BYTES", value: (entry) => entry.value.length },
  { title: "FRAME", value: (entry) => entry.frame, wide: true },
  {
    title: "VALUE",
    value: (entry) => textOf(entry.value)?.slice(0, VALUE_LENGTH_MAX) ?? "(binary)",
  },
];

export function stateCommand(): Command {
  const command = new Command("state").description("read the committed key-value state of actors");
  const address = ["<address>", "namespace/agent/key; without a key: default"] as const;
  withWatch(command.command("get"))
    .description("print one value")
    .argument(...address)
    .argument("<key>", "key of the value")
    .action((actor: string, key: string, _: object, own: Command) =>
      inWatchedSession(own, async ({ client, printer }) => {
        const { entry } = await client.state.getState({ address: actor, key });
        printer.content(entry!.value, entry);
      }),
    );
  withWatch(command.command("list"))
    .description("list keys and the beginnings of their values")
    .argument(...address)
    .option("--prefix <text>", "only keys that begin with this", "")
    .option("--limit <n>", "rows at most", positiveInteger, ROWS_DEFAULT)
    .action((actor: string, options: { prefix: string; limit: number }, own: Command) =>
      inWatchedSession(own, async ({ client, printer }) => {
        const { prefix, limit } = options;
        const rows = await collectPages(limit, async (pageSize, pageToken) => {
          const request = { address: actor, prefix, pageSize, pageToken };
          const page = await client.state.listState(request);
          return { items: page.entries, nextPageToken: page.nextPageToken };
        });
        printer.rows(rows, COLUMNS);
      }),
    );
  return command;
}
