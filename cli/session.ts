/** What every command gets: the client, the printer, and one way to end. */
import { type Command, Option } from "commander";
import type { CaxtonClient } from "../sdk/client-ts/index.ts";
import { durationMs } from "./arguments.ts";
import type { Output } from "./output-format.ts";
import { Printer } from "./output.ts";

const CALL_TIMEOUT_MS = 60_000;
const WATCH_INTERVAL_MS = 2000;

export interface Session {
  readonly client: CaxtonClient;
  readonly printer: Printer;
}

interface Options {
  readonly endpoint: string;
  readonly output: Output;
  readonly color: boolean;
}

interface WatchOptions {
  readonly watch: boolean;
  readonly interval: number;
}

/** Runs a command's work and ends the process with the right code. */
export function inSession(
  command: Command,
  work: (session: Session) => Promise<void> | void,
): Promise<void> {
  return ending(command, (session) => work({ ...session, printer: new Printer(session.output) }));
}

/** Options of a command whose work is done by `inWatchedSession`. */
export function withWatch(command: Command): Command {
  return command
    .option("-w, --watch", "ask again and again; print what changed, until interrupted", false)
    .addOption(
      new Option("--interval <duration>", "between two askings")
        .argParser(durationMs)
        .default(WATCH_INTERVAL_MS, "2s"),
    );
}

/** The work only looks at something. */
export function inWatchedSession(
  command: Command,
  work: (session: Session) => Promise<void>,
): Promise<void> {
  const { watch, interval } = command.opts<WatchOptions>();
  if (!watch) return inSession(command, work);
  return ending(command, async ({ client, output }) => {
    const { watchAnswer } = await import("./live-answer.ts");
    await watchAnswer(output, interval, (printer) => work({ client, printer }));
  });
}

async function ending(
  command: Command,
  work: (session: { client: CaxtonClient; output: Output }) => Promise<void> | void,
): Promise<void> {
  const { endpoint, output, color } = command.optsWithGlobals<Options>();
  if (!color) {
    process.env["NO_COLOR"] = "1";
    delete process.env["FORCE_COLOR"];
  }
  // Help and completion do without the wire, and start in half the time.
  const { connect } = await import("../sdk/client-ts/index.ts");
  // Repeating is for the person or the script: the exit code says whether it may help.
  const client = connect({ endpoint, timeoutMs: CALL_TIMEOUT_MS, attemptsMax: 1 });
  try {
    await work({ client, output });
  } catch (thrown) {
    const { reportFailure } = await import("./failure.ts");
    process.exitCode = reportFailure(thrown);
  }
  // Idle connections would keep the process alive.
  process.exit();
}
