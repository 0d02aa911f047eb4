import { setTimeout as delay } from "node:timers/promises";
import { Command, Option } from "commander";
import { failureText } from "../../src/base/failure-text.ts";
import { durationMs } from "../arguments.ts";
import { inSession, type Session } from "../session.ts";
import { figuresOf, type Look, type TopFigures } from "../top-figures.ts";
import { type Sort, SORTS, topLines } from "../top-view.ts";

interface TopOptions {
  readonly interval: number;
  readonly sort: Sort;
}

export function topCommand(): Command {
  return new Command("top")
    .description("what the node is busy with, live on a terminal and once elsewhere")
    .addOption(
      new Option("--interval <duration>", "between two looks; rates are of that time")
        .argParser(durationMs)
        .default(1000, "1s"),
    )
    .addOption(new Option("--sort <column>", "order of agents").choices(SORTS).default("rate"))
    .action((options: TopOptions, own: Command) =>
      inSession(own, async (session) => {
        const isLive =
          process.stdin.isTTY && process.stdout.isTTY && !session.printer.isForPrograms;
        await (isLive ? showLive(session, options) : printOnce(session, options));
      }),
    );
}

async function printOnce(session: Session, { interval, sort }: TopOptions): Promise<void> {
  const { printer } = session;
  const before = await lookAt(session);
  await delay(interval);
  const figures = figuresOf(before, await lookAt(session));
  if (printer.isForPrograms) printer.document(figures);
  else printer.drawn(topLines(figures, sort));
}

async function showLive(session: Session, options: TopOptions): Promise<void> {
  const { Screen } = await import("../screen.ts");
  const { endingOf } = await import("../failure.ts");
  const screen = new Screen();
  const end = Promise.withResolvers<boolean>();
  let before = await lookAt(session);
  let sort = options.sort;
  let figures: TopFigures = figuresOf(before, before);
  const draw = (): void => {
    const footer = `q quit   s sort of agents: ${sort}   every ${options.interval} ms`;
    screen.draw(topLines(figures, sort, screen.linesMax), footer);
  };
  screen.open((key) => {
    if (key === "q") end.resolve(true);
    if (key !== "s") return;
    sort = SORTS[(SORTS.indexOf(sort) + 1) % SORTS.length]!;
    draw();
  });
  draw();
  while (!(await Promise.race([end.promise, delay(options.interval, false)]))) {
    try {
      const look = await lookAt(session);
      figures = figuresOf(before, look);
      before = look;
      draw();
    } catch (error) {
      screen.draw(failureText(endingOf(error).failure).split("\n"), "q quit");
    }
  }
}

async function lookAt({ client }: Session): Promise<Look> {
  const [{ status }, { agents }] = await Promise.all([
    client.node.getStatus({}),
    client.agents.listAgents({}),
  ]);
  return { atMs: Date.now(), node: status!, agents };
}
