import { Command } from "commander";
import type { StateChange, StateEntry } from "../../src/gen/caxton/v1/state.ts";
import { positiveInteger } from "../arguments.ts";
import { type Column, exactTimeText } from "../output.ts";
import { collectPages } from "../paging.ts";
import { textOf } from "../plain.ts";
import { inSession, inWatchedSession, withWatch } from "../session.ts";

const ROWS_DEFAULT = 1000;
const VALUE_LENGTH_MAX = 80;

const COLUMNS: readonly Column<StateEntry>[] = [
  { title: "KEY", value: (entry) => entry.key, isName: true },
  { title: "BYTES", value: (entry) => entry.value.length },
  { title: "FRAME", value: (entry) => entry.frame, wide: true },
  { title: "VALUE", value: ({ value }) => valueText(value) },
];

const CHANGE_COLUMNS: readonly Column<StateChange>[] = [
  { title: "TIME", value: (change) => exactTimeText(change.atMs) },
  { title: "KEY", value: (change) => change.key, isName: true },
  { title: "SENDER", value: (change) => change.sender },
  { title: "PERFORMATIVE", value: (change) => change.performative, wide: true },
  { title: "MESSAGE", value: (change) => change.messageId },
  { title: "FRAME", value: (change) => change.frame, wide: true },
  {
    title: "VALUE",
    value: ({ deleted, value }) => (deleted ? "(deleted)" : valueText(value)),
  },
];

interface ListOptions {
  readonly prefix: string;
  readonly limit: number;
}

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
    .action((actor: string, { prefix, limit }: ListOptions, own: Command) =>
      inWatchedSession(own, async ({ client, printer }) => {
        const rows = await collectPages(limit, async (pageSize, pageToken) => {
          const request = { address: actor, prefix, pageSize, pageToken };
          const page = await client.state.listState(request);
          return { items: page.entries, nextPageToken: page.nextPageToken };
        });
        printer.rows(rows, COLUMNS);
      }),
    );
  command
    .command("history")
    .description("list the changes of the state and the messages that made them, oldest first")
    .argument(...address)
    .option("--prefix <text>", "only keys that begin with this", "")
    .option("--limit <n>", "rows at most", positiveInteger, ROWS_DEFAULT)
    .action((actor: string, { prefix, limit }: ListOptions, own: Command) =>
      inSession(own, async ({ client, printer }) => {
        const rows = await collectPages(limit, async (pageSize, pageToken) => {
          const request = { address: actor, prefix, pageSize, pageToken };
          const page = await client.state.listStateChanges(request);
          return { items: page.changes, nextPageToken: page.nextPageToken };
        });
        printer.rows(rows, CHANGE_COLUMNS);
      }),
    );
  return command;
}

function valueText(value: Uint8Array): string {
  return textOf(value)?.slice(0, VALUE_LENGTH_MAX) ?? "(binary)";
}
