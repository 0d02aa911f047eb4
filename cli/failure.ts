/** Failures a command ends with, wherever they come from. */
import { EXIT, exitCodeOf, exitCodeOfStatus } from "../src/base/exit-codes.ts";
import { ensureError } from "../src/base/errors.ts";
import { type Failure, failureOf } from "../src/base/failure-text.ts";
import { CaxtonError } from "../sdk/client-ts/index.ts";

/** The command line or a file it names is wrong; nothing was sent. */
export class UsageError extends Error {
  readonly hint: string;

  constructor(message: string, hint = "") {
    super(message);
    this.hint = hint;
  }
}

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
  return { failure: failureOf(error), exitCode: exitCodeOf(error) };
}
