/** Failures as problem details (RFC 9457), with the codes of docs/errors.md. */
import { STATUS_CODES } from "node:http";
import { type CaxtonError, ERRORS } from "../../base/errors.ts";

export const PROBLEM_TYPE = "application/problem+json";

export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly hint: string;
  readonly findings: readonly { readonly at: string; readonly message: string }[];
  readonly traceId: string;
  readonly retryable: boolean;
  readonly retryAfterMs?: number;
}

export function problemOf(error: CaxtonError, traceId: string): Problem {
  const { http, hint, retryable } = ERRORS[error.code];
  return {
    type: `urn:caxton:error:${error.code}`,
    title: STATUS_CODES[http] ?? String(http),
    status: http,
    detail: error.message,
    code: error.code,
    hint,
    findings: error.findings,
    traceId,
    retryable,
    ...(error.retryAfterMs !== undefined && { retryAfterMs: error.retryAfterMs }),
  };
}
