import { type ServiceError, status } from "@grpc/grpc-js";
import { ErrorDetail, type Finding } from "../../src/gen/caxton/v1/error.ts";

const ERROR_TRAILER = "caxton-error-bin";

/** Why a call failed: what the server said about it, or that the server said nothing. */
export class CaxtonError extends Error {
  /** Stable, of docs/errors.md; of failures on the way, the name of the gRPC status. */
  readonly code: string;
  /** How to fix it; may be empty. */
  readonly hint: string;
  readonly findings: readonly Finding[];
  /** Findings left out because there were too many. */
  readonly findingsOmitted: number;
  /** Names the request in the server's log; empty when it got to no server. */
  readonly traceId: string;
  /** The same call may succeed later without a change. */
  readonly retryable: boolean;
  /** The server's advice; 0 when it has none. */
  readonly retryAfterMs: number;
  /** Name of the gRPC status, e.g. NOT_FOUND. */
  readonly status: string;
  /** The server refused or failed it. Otherwise nobody knows whether it took effect. */
  readonly isAnswer: boolean;

  constructor(error: ServiceError, endpoint: string) {
    const answer = detailOf(error);
    const detail = answer ?? failureOnTheWay(error, endpoint);
    super(detail.message, { cause: error });
    this.name = "CaxtonError";
    this.code = detail.code;
    this.hint = detail.hint;
    this.findings = detail.findings;
    this.findingsOmitted = detail.findingsOmitted;
    this.traceId = detail.traceId;
    this.retryable = detail.retryable;
    this.retryAfterMs = detail.retryAfterMs;
    this.status = status[error.code];
    this.isAnswer = answer !== undefined;
  }
}

function detailOf(error: ServiceError): ErrorDetail | undefined {
  const [encoded] =
    (error.metadata as ServiceError["metadata"] | undefined)?.get(ERROR_TRAILER) ?? [];
  return typeof encoded === "object" ? ErrorDetail.decode(encoded) : undefined;
}

function failureOnTheWay(error: ServiceError, endpoint: string): ErrorDetail {
  const code = status[error.code];
  switch (error.code) {
    case status.UNAVAILABLE:
      return ErrorDetail.create({
        code,
        message: `The server at ${endpoint} can't be reached.`,
        hint: "Start one with 'caxton server', or name the endpoint of another.",
        retryable: true,
      });
    case status.DEADLINE_EXCEEDED:
      return ErrorDetail.create({
        code,
        message: `The server at ${endpoint} did not answer in time.`,
        hint: "Look at 'caxton node status' and the server's log.",
      });
    default:
      return ErrorDetail.create({ code, message: error.details });
  }
}
