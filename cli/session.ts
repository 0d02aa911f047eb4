/** What every command gets: the client, the printer, and one way to end. */
import type { Command } from "commander";
import { failureText } from "../src/base/failure-text.ts";
import { ApiClient } from "./client.ts";
import { endingOf } from "./failure.ts";
import { type Output, Printer } from "./output.ts";

export interface Session {
  readonly client: ApiClient;
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
    await work({ client: new ApiClient(endpoint), printer: new Printer(output) });
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
