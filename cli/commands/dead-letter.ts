import { Command } from "commander";
import type { DeadLetter } from "../../src/gen/caxton/v1/dead_letter.ts";
import { positiveInteger } from "../arguments.ts";
import { confirm, withYes, type YesOptions } from "../confirm.ts";
import { type Column, timeText } from "../output.ts";
import { collectPages } from "../paging.ts";
import { inSession, inWatchedSession, withWatch } from "../session.ts";

const ROWS_DEFAULT = 1000;

const COLUMNS: readonly Column<DeadLetter>[] = [
  { title: "ID", value: (letter) => letter.id, isName: true },
  { title: "RECEIVER", value: (letter) => letter.message?.receiver ?? "" },
  { title: "SENDER", value: (letter) => letter.message?.sender ?? "" },
  { title: "CODE", value: (letter) => letter.code },
  { title: "ATTEMPTS", value: (letter) => letter.attempts },
  { title: "AT", value: (letter) => timeText(letter.atMs) },
  { title: "REASON", value: (letter) => letter.reason },
  { title: "MESSAGE", value: (letter) => letter.message?.id ?? "", wide: true },
  { title: "PARTITION", value: (letter) => letter.partition, wide: true },
];

interface ListOptions {
  readonly namespace: string;
  readonly agent: string;
  readonly limit: number;
}

export function deadLetterCommand(): Command {
  const command = new Command("dead-letter").description("messages that could not be handled");
  withWatch(command.command("list"))
    .description("list dead letters")
    .option("--namespace <namespace>", "only this namespace", "")
    .option("--agent <name>", "only this agent", "")
    .option("--limit <n>", "rows at most", positiveInteger, ROWS_DEFAULT)
    .action(({ namespace, agent, limit }: ListOptions, own: Command) =>
      inWatchedSession(own, async ({ client, printer }) => {
        const rows = await collectPages(limit, async (pageSize, pageToken) => {
          const request = { namespace, agent, pageSize, pageToken };
          const page = await client.deadLetters.listDeadLetters(request);
          return { items: page.deadLetters, nextPageToken: page.nextPageToken };
        });
        printer.rows(rows, COLUMNS);
      }),
    );
  command
    .command("retry")
    .description("put a message back at the end of its actor's mailbox")
    .argument("<id>", "id of the dead letter")
    .action((id: string, _: object, own: Command) =>
      inSession(own, async ({ client, printer }) => {
        const answer = await client.deadLetters.retryDeadLetter({ id });
        printer.sentence(`${id} is back in its mailbox`, answer);
      }),
    );
  withYes(command.command("drop"))
    .description("forget a message")
    .argument("<id>", "id of the dead letter")
    .action((id: string, options: YesOptions, own: Command) =>
      inSession(own, async ({ client, printer }) => {
        await confirm(`Forget the message of dead letter ${id}?`, options);
        const answer = await client.deadLetters.dropDeadLetter({ id });
        printer.sentence(`${id} is dropped`, answer);
      }),
    );
  return command;
}
