/** What every command gets: the client, the printer, and one way to end. */
import type { Command } from "commander";
import { failureText } from "../src/base/failure-text.ts";
import { type CaxtonClient, connect } from "../sdk/client-ts/index.ts";
import { endingOf } from "./failure.ts";
import { type Output, Printer } from "./output.ts";

const CALL_TIMEOUT_MS = 60_000;

export interface Session {
  readonly client: CaxtonClient;
  readonly printer: Printer;
}

interface GlobalOptions {
  readonly endpoint: string;
  readonly output: Output;
}

/** Runs a command's work and ends the process with the right code. */
export async function inSession(
  command: Command,
  work: (session: Session) => Promise<void>,
): Promise<void> {
  const { endpoint, output } = command.optsWithGlobals<GlobalOptions>();
  try {
    // Repeating is for the person or the script: the exit code says whether it may help.
    const client = connect({ endpoint, timeoutMs: CALL_TIMEOUT_MS, attemptsMax: 1 });
    await work({ client, printer: new Printer(output) });
  } catch (thrown) {
    process.exitCode = reportFailure(thrown);
  }
  // Idle connections would keep the process alive.
  process.exit();
}

/** Returns the exit code that goes with it. */
export function reportFailure(thrown: unknown): number {
  const { failure, exitCode } = endingOf(thrown);
  process.stderr.write(failureText(failure));
  return exitCode;
}
