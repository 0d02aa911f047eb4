import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { ERROR_TRAILER, toServiceError } from "../../src/api/grpc/errors.ts";
import { asCaxtonError, CaxtonError, type ErrorCode, ERRORS } from "../../src/base/errors.ts";
import { ErrorDetail } from "../../src/gen/caxton/v1/error.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const CODES = Object.keys(ERRORS) as ErrorCode[];
/** What a client must be able to take: 8 KiB of header list. */
const METADATA_BYTES_MAX = 8192;

function detailOf(error: CaxtonError): ErrorDetail {
  const [encoded] = toServiceError(error, TRACE).metadata.get(ERROR_TRAILER);
  return ErrorDetail.decode(encoded as Buffer);
}

test.each(CODES)("%s has its status of the table and carries code, hint and trace", (code) => {
  const error = toServiceError(new CaxtonError(code), TRACE);
  expect(status[error.code]).toBe(ERRORS[code].grpc);
  expect(error.details).toBe(ERRORS[code].text);
  expect(error.metadata.get("caxton-code")).toEqual([code]);
  expect(detailOf(new CaxtonError(code))).toMatchObject({
    code,
    message: ERRORS[code].text,
    hint: ERRORS[code].hint,
    retryable: ERRORS[code].retryable,
    traceId: TRACE,
    findings: [],
    findingsOmitted: 0,
  });
});

test("HTTP statuses agree with gRPC's idea of whose fault it is", () => {
  const isClients = new Set(["INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "ABORTED"]);
  for (const code of CODES) {
    const { grpc, http } = ERRORS[code];
    if (isClients.has(grpc)) expect([code, Math.floor(http / 100)]).toEqual([code, 4]);
    if (grpc === "RESOURCE_EXHAUSTED") expect([code, http]).toEqual([code, 429]);
    if (grpc === "UNAVAILABLE") expect([code, http]).toEqual([code, 503]);
  }
});

test("findings and advice travel", () => {
  const findings = [{ at: "spec.x", message: "unknown key", hint: 'Did you mean "y"?' }];
  const detail = detailOf(new CaxtonError("MAILBOX_FULL", "full", { findings, retryAfterMs: 70 }));
  expect(detail).toMatchObject({ message: "full", findings, retryAfterMs: 70 });
});

describe("what does not fit is cut and counted", () => {
  const findings = Array.from({ length: 500 }, (_, i) => ({
    at: `field${i}`,
    message: "is wrong",
  }));
  const error = new CaxtonError("INVALID_MANIFEST", "x".repeat(5000), { findings });

  test("the trailers stay small", () => {
    const headers = toServiceError(error, TRACE).metadata.toHttp2Headers();
    const bytes = Object.entries(headers).reduce(
      (sum, [name, value]) => sum + name.length + String(value).length,
      0,
    );
    expect(bytes).toBeLessThan(METADATA_BYTES_MAX);
  });

  test("the first findings are there, the rest is a number", () => {
    const detail = detailOf(error);
    expect(detail.findings.length).toBeGreaterThan(50);
    expect(detail.findings[0]).toMatchObject(findings[0]!);
    expect(detail.findings.length + detail.findingsOmitted).toBe(500);
  });
});

test("what nobody foresaw is INTERNAL and keeps its text to itself", () => {
  const cause = new TypeError("secret path /etc/x");
  const error = asCaxtonError(cause);
  expect(error).toMatchObject({ code: "INTERNAL", message: ERRORS.INTERNAL.text, cause });
});

test("text that is no UTF-8 does not break the answer", () => {
  const error = toServiceError(new CaxtonError("AGENT_FAILED", "half \ud800 a pair"), TRACE);
  expect(() => encodeURI(error.details)).not.toThrow();
});
