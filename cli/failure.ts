/** Failures a command ends with, wherever they come from. */
import { type ServiceError, status } from "@grpc/grpc-js";
import { EXIT, exitCodeOf, exitCodeOfStatus } from "../src/base/exit-codes.ts";
import { ensureError } from "../src/base/errors.ts";
import { type Failure, failureOf } from "../src/base/failure-text.ts";
import { ErrorDetail } from "../src/gen/caxton/v1/error.ts";

const ERROR_TRAILER = "caxton-error-bin";

/** The command line or a file it names is wrong; nothing was sent. */
export class UsageError extends Error {
  readonly hint: string;

  constructor(message: string, hint = "") {
    super(message);
    this.hint = hint;
  }
}

export class CallError extends Error {
  readonly failure: Failure;
  readonly statusName: string;

  constructor(error: ServiceError, endpoint: string) {
    super(error.details);
    this.statusName = status[error.code];
    this.failure = detailOf(error) ?? transportFailure(error, endpoint);
  }
}

export interface Ending {
  readonly failure: Failure;
  readonly exitCode: number;
}

export function endingOf(thrown: unknown): Ending {
  const error = ensureError(thrown);
  if (error instanceof CallError) {
    return { failure: error.failure, exitCode: exitCodeOfStatus(error.statusName) };
  }
  if (error instanceof UsageError) {
    const { message, hint } = error;
    return { failure: { message, hint, code: "", findings: [] }, exitCode: EXIT.usage };
  }
  return { failure: failureOf(error), exitCode: exitCodeOf(error) };
}

function detailOf(error: ServiceError): Failure | undefined {
  const [encoded] =
    (error.metadata as ServiceError["metadata"] | undefined)?.get(ERROR_TRAILER) ?? [];
  return typeof encoded === "object" ? ErrorDetail.decode(encoded) : undefined;
}

/** The answer did not come from a Caxton server's handlers. */
function transportFailure(error: ServiceError, endpoint: string): Failure {
  const failure = { code: status[error.code], findings: [] };
  switch (error.code) {
    case status.UNAVAILABLE:
      return {
        ...failure,
        message: `The server at ${endpoint} can't be reached.`,
        hint: "Start one with 'caxton server', or name another with --endpoint or CAXTON_ENDPOINT.",
      };
    case status.DEADLINE_EXCEEDED:
      return {
        ...failure,
        message: `The server at ${endpoint} did not answer in time.`,
        hint: "Look at 'caxton node status' and the server's log.",
      };
    default:
      return { ...failure, message: error.details, hint: "" };
  }
}
