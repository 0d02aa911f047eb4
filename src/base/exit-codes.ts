/** How the programs of this project end: the table that scripts may rely on. */
import { CaxtonError, ERRORS, type GrpcStatusName } from "./errors.ts";

export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  notFound: 3,
  unavailable: 4,
  conflict: 5,
  invalid: 6,
  exhausted: 7,
  timeout: 8,
  interrupted: 130,
} as const;

export type ExitName = keyof typeof EXIT;

export const EXIT_TEXT: Readonly<Record<ExitName, string>> = {
  ok: "success",
  failure: "the server or an agent failed",
  usage: "the command line is wrong",
  notFound: "what was named does not exist",
  unavailable: "the server can't be reached or is not ready",
  conflict: "the state of things does not allow it",
  invalid: "the input was refused",
  exhausted: "a limit is reached; try again later",
  timeout: "no answer before the deadline",
  interrupted: "interrupted by a signal, or by a no to a question",
};

const BY_STATUS: Readonly<Record<GrpcStatusName, ExitName>> = {
  INVALID_ARGUMENT: "invalid",
  NOT_FOUND: "notFound",
  ALREADY_EXISTS: "conflict",
  FAILED_PRECONDITION: "conflict",
  RESOURCE_EXHAUSTED: "exhausted",
  ABORTED: "failure",
  DEADLINE_EXCEEDED: "timeout",
  UNAVAILABLE: "unavailable",
  UNIMPLEMENTED: "failure",
  PERMISSION_DENIED: "failure",
  DATA_LOSS: "failure",
  INTERNAL: "failure",
};

/** For statuses outside the table (UNKNOWN, CANCELLED, ...) it is a failure. */
export function exitCodeOfStatus(status: string): number {
  return EXIT[(BY_STATUS as Readonly<Record<string, ExitName>>)[status] ?? "failure"];
}

export function exitCodeOf(error: Error): number {
  return error instanceof CaxtonError ? exitCodeOfStatus(ERRORS[error.code].grpc) : EXIT.failure;
}
