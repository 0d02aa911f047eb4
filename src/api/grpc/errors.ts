/** The one place where a failure becomes a gRPC status with its details in a trailer. */
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { type CaxtonError, ERRORS, type GrpcStatusName } from "../../base/errors.ts";
import { ErrorDetail } from "../../gen/caxton/v1/error.ts";

export const ERROR_TRAILER = "caxton-error-bin";

/** Clients may refuse more than 8 KiB of trailers; base64 and the other fields take their share. */
const DETAIL_BYTES_MAX = 4096;
const MESSAGE_LENGTH_MAX = 600;

const STATUS: Readonly<Record<GrpcStatusName, status>> = {
  INVALID_ARGUMENT: status.INVALID_ARGUMENT,
  NOT_FOUND: status.NOT_FOUND,
  ALREADY_EXISTS: status.ALREADY_EXISTS,
  FAILED_PRECONDITION: status.FAILED_PRECONDITION,
  RESOURCE_EXHAUSTED: status.RESOURCE_EXHAUSTED,
  ABORTED: status.ABORTED,
  DEADLINE_EXCEEDED: status.DEADLINE_EXCEEDED,
  UNAVAILABLE: status.UNAVAILABLE,
  UNIMPLEMENTED: status.UNIMPLEMENTED,
  PERMISSION_DENIED: status.PERMISSION_DENIED,
  DATA_LOSS: status.DATA_LOSS,
  INTERNAL: status.INTERNAL,
};

export function toServiceError(error: CaxtonError, traceId: string): ServiceError {
  const metadata = new Metadata();
  metadata.set(ERROR_TRAILER, Buffer.from(encodeDetail(error, traceId)));
  metadata.set("caxton-code", error.code);
  metadata.set("caxton-trace-id", traceId);
  const details = shorten(error.message);
  const code = STATUS[ERRORS[error.code].grpc];
  return Object.assign(new Error(details), { code, details, metadata });
}

/** Drops findings from the end until the trailer is small enough, and says how many. */
function encodeDetail(error: CaxtonError, traceId: string): Uint8Array {
  const definition = ERRORS[error.code];
  const detail = ErrorDetail.create({
    code: error.code,
    message: shorten(error.message),
    hint: definition.hint,
    traceId,
    retryable: definition.retryable,
    retryAfterMs: error.retryAfterMs ?? 0,
  });
  let bytes = ErrorDetail.encode(detail).finish();
  for (const [index, { at, message, hint }] of error.findings.entries()) {
    const finding = { at: shorten(at), message: shorten(message), hint: shorten(hint ?? "") };
    const findings = [...detail.findings, finding];
    const findingsOmitted = error.findings.length - index - 1;
    const longer = ErrorDetail.encode({ ...detail, findings, findingsOmitted }).finish();
    if (longer.length > DETAIL_BYTES_MAX) {
      return ErrorDetail.encode({ ...detail, findingsOmitted: findingsOmitted + 1 }).finish();
    }
    detail.findings = findings;
    bytes = longer;
  }
  return bytes;
}

/** Bounded, and without the lone surrogates that can't be written as UTF-8. */
function shorten(text: string): string {
  const short = text.length > MESSAGE_LENGTH_MAX ? `${text.slice(0, MESSAGE_LENGTH_MAX)}...` : text;
  return short.toWellFormed();
}
