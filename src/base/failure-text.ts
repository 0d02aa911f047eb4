/** A failure as people read it on a terminal: what, why (every finding), how to fix, code, trace. */
import { CaxtonError, ERRORS, type Finding } from "./errors.ts";

export interface Failure {
  readonly message: string;
  readonly code: string;
  readonly hint: string;
  readonly findings: readonly Finding[];
  readonly findingsOmitted?: number;
  readonly traceId?: string;
  readonly retryAfterMs?: number;
}

export function failureOf(error: Error): Failure {
  if (!(error instanceof CaxtonError)) {
    return { message: error.message, code: "", hint: "", findings: [] };
  }
  const { code, message, findings } = error;
  return { message, code, hint: ERRORS[code].hint, findings };
}

export function failureText(failure: Failure): string {
  const { findingsOmitted = 0, retryAfterMs = 0, traceId = "" } = failure;
  const lines = [`error: ${failure.message}`, ...failure.findings.map(findingText)];
  if (findingsOmitted > 0) lines.push(`  - and ${findingsOmitted} more`);
  if (failure.hint !== "") lines.push(`  fix: ${failure.hint}`);
  if (retryAfterMs > 0) lines.push(`  retry after: ${retryAfterMs} ms`);
  if (failure.code !== "") lines.push(`  code: ${failure.code}`);
  if (traceId !== "") lines.push(`  trace: ${traceId}`);
  return `${lines.join("\n")}\n`;
}

function findingText({ at, message, hint }: Finding): string {
  const fix = hint === undefined || hint === "" ? "" : ` (${hint})`;
  return `  - ${at}: ${message}${fix}`;
}
