/** Failures a command ends with, wherever they come from. */
import { EXIT, exitCodeOf, exitCodeOfStatus } from "../src/base/exit-codes.ts";
import { ensureError } from "../src/base/errors.ts";
import { type Failure, failureOf, failureText } from "../src/base/failure-text.ts";
import { CaxtonError } from "../sdk/client-ts/index.ts";
import { Declined, UsageError } from "./usage-error.ts";

export interface Ending {
  readonly failure: Failure;
  readonly exitCode: number;
}

export function endingOf(thrown: unknown): Ending {
  const error = ensureError(thrown);
  if (error instanceof CaxtonError) {
    return { failure: error, exitCode: exitCodeOfStatus(error.status) };
  }
  if (error instanceof UsageError) {
    const { message, hint } = error;
    return { failure: { message, hint, code: "", findings: [] }, exitCode: EXIT.usage };
  }
  const exitCode = error instanceof Declined ? EXIT.interrupted : exitCodeOf(error);
  return { failure: failureOf(error), exitCode };
}

/** Returns the exit code that goes with it. */
export function reportFailure(thrown: unknown): number {
  const { failure, exitCode } = endingOf(thrown);
  process.stderr.write(failureText(failure));
  return exitCode;
}
