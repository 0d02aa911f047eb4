import { Command, Option } from "commander";
import type { Actor, ActorStatus } from "../../src/gen/caxton/v1/actor.ts";
import { positiveInteger } from "../arguments.ts";
import { confirm, withYes, type YesOptions } from "../confirm.ts";
import type { Column } from "../output.ts";
import { collectPages } from "../paging.ts";
import { inSession, inWatchedSession, withWatch } from "../session.ts";

const ROWS_DEFAULT = 1000;

const STATUSES: Readonly<Record<string, ActorStatus>> = {
  idle: "ACTOR_STATUS_IDLE",
  ready: "ACTOR_STATUS_READY",
  open: "ACTOR_STATUS_OPEN",
  backoff: "ACTOR_STATUS_BACKOFF",
  held: "ACTOR_STATUS_HELD",
  recovering: "ACTOR_STATUS_RECOVERING",
};

const COLUMNS: readonly Column<Actor>[] = [
  { title: "ADDRESS", value: (actor) => actor.address, isName: true },
  { title: "STATUS", value: (actor) => actor.status, isStatus: true },
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
  withWatch(command.command("list"))
    .description("list actors")
    .option("--namespace <namespace>", "only this namespace", "")
    .option("--agent <name>", "only this agent", "")
    .addOption(new Option("--status <status>", "only these").choices(Object.keys(STATUSES)))
    .option("--limit <n>", "rows at most", positiveInteger, ROWS_DEFAULT)
    .action((options: ListOptions, own: Command) =>
      inWatchedSession(own, async ({ client, printer }) => {
        const { namespace, agent } = options;
        const status = STATUSES[options.status ?? ""] ?? "ACTOR_STATUS_UNSPECIFIED";
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
  withWatch(command.command("inspect"))
    .description("show one actor")
    .argument(...argument)
    .action((address: string, _: object, own: Command) =>
      inWatchedSession(own, async ({ client, printer }) => {
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
  withYes(command.command("reset"))
    .description("drop an actor's memory; its key-value state and mailbox stay")
    .argument(...argument)
    .action((address: string, options: YesOptions, own: Command) =>
      inSession(own, async ({ client, printer }) => {
        await confirm(`Drop what ${address} keeps in memory?`, options);
        const { actor } = await client.actors.resetActor({ address });
        printer.sentence(`${actor!.address} is reset`, actor);
      }),
    );
}
