import { Command, Option } from "commander";
import { type Actor, ActorStatus } from "../../src/gen/caxton/v1/actor.ts";
import { positiveInteger } from "../arguments.ts";
import type { Column } from "../output.ts";
import { enumName } from "../plain.ts";
import { collectPages } from "../paging.ts";
import { inSession } from "../session.ts";

const ROWS_DEFAULT = 1000;

const STATUSES = Object.values(ActorStatus).filter(
  (status) => status !== ActorStatus.UNSPECIFIED && status !== ActorStatus.UNRECOGNIZED,
);

const COLUMNS: readonly Column<Actor>[] = [
  { title: "ADDRESS", value: (actor) => actor.address },
  { title: "STATUS", value: (actor) => actor.status },
  { title: "PARTITION", value: (actor) => actor.partition },
  { title: "TURNS", value: (actor) => actor.turns },
  { title: "MAILBOX", value: (actor) => actor.mailboxMessages },
  { title: "RESTARTS", value: (actor) => actor.restarts },
  { title: "KEYS", value: (actor) => actor.stateKeys, wide: true },
  { title: "STATE-BYTES", value: (actor) => actor.stateBytes, wide: true },
  { title: "MEMORY-BYTES", value: (actor) => actor.memoryBytes, wide: true },
  { title: "TIMERS", value: (actor) => actor.timers, wide: true },
  { title: "ATTEMPTS", value: (actor) => actor.attempts, wide: true },
  { title: "FRAME", value: (actor) => actor.frame, wide: true },
  { title: "REASON", value: (actor) => actor.reason, wide: true },
];

interface ListOptions {
  readonly namespace: string;
  readonly agent: string;
  readonly status?: string;
  readonly limit: number;
}

export function actorCommand(): Command {
  const command = new Command("actor").description("look at actors and bring them back");
  command
    .command("list")
    .description("list actors")
    .option("--namespace <namespace>", "only this namespace", "")
    .option("--agent <name>", "only this agent", "")
    .addOption(new Option("--status <status>", "only these").choices(STATUSES.map(enumName)))
    .option("--limit <n>", "rows at most", positiveInteger, ROWS_DEFAULT)
    .action((options: ListOptions, own: Command) =>
      inSession(own, async ({ client, printer }) => {
        const { namespace, agent } = options;
        const status =
          STATUSES.find((known) => enumName(known) === options.status) ?? ActorStatus.UNSPECIFIED;
        const rows = await collectPages(options.limit, async (pageSize, pageToken) => {
          const request = { namespace, agent, status, pageSize, pageToken };
          const page = await client.actors.listActors(request);
          return { items: page.actors, nextPageToken: page.nextPageToken };
        });
        printer.rows(rows, COLUMNS);
      }),
    );
  addAddressCommands(command);
  return command;
}

function addAddressCommands(command: Command): void {
  const argument = ["<address>", "namespace/agent/key; without a key: default"] as const;
  command
    .command("inspect")
    .description("show one actor")
    .argument(...argument)
    .action((address: string, _: object, own: Command) =>
      inSession(own, async ({ client, printer }) => {
        const { actor } = await client.actors.getActor({ address });
        printer.facts(actor!, COLUMNS);
      }),
    );
  command
    .command("release")
    .description("let a held actor continue from its last committed turn")
    .argument(...argument)
    .action((address: string, _: object, own: Command) =>
      inSession(own, async ({ client, printer }) => {
        const { actor } = await client.actors.releaseActor({ address });
        printer.sentence(`${actor!.address} is released`, actor);
      }),
    );
  command
    .command("reset")
    .description("drop an actor's memory; its key-value state and mailbox stay")
    .argument(...argument)
    .action((address: string, _: object, own: Command) =>
      inSession(own, async ({ client, printer }) => {
        const { actor } = await client.actors.resetActor({ address });
        printer.sentence(`${actor!.address} is reset`, actor);
      }),
    );
}
