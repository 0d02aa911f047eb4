/** What every call shares: trace id, one log line, request metrics and the mapping of failures. */
import type { handleUnaryCall, Metadata } from "@grpc/grpc-js";
import type { NodeKernel } from "../../actors/kernel.ts";
import type { NodeLimits } from "../../base/config-schema.ts";
import type { CaxtonError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { newTraceId, traceIdOf } from "../../base/trace.ts";
import type { ApiMetrics } from "../metrics.ts";
import { asCaxtonError, toServiceError } from "./errors.ts";

export interface ApiContext {
  readonly kernel: NodeKernel;
  readonly limits: NodeLimits;
  readonly log: Logger;
  readonly metrics: ApiMetrics;
}

export interface CallInfo {
  /** As the caller sent it, when it is well formed. */
  readonly traceparent: string | undefined;
  /** Milliseconds until the caller's deadline; Infinity without one. */
  readonly remainingMs: number;
}

/** One request from its arrival to its log line. */
export class RequestRecord {
  readonly traceId: string;
  readonly traceparent: string | undefined;
  readonly #api: ApiContext;
  readonly #method: string;
  readonly #startedAt = performance.now();

  constructor(api: ApiContext, method: string, metadata: Metadata) {
    this.#api = api;
    this.#method = method;
    const given = metadata.get("traceparent")[0];
    const traceId = typeof given === "string" ? traceIdOf(given) : undefined;
    this.traceparent = traceId === undefined ? undefined : (given as string);
    this.traceId = traceId ?? newTraceId();
  }

  succeeded(): void {
    this.#ended("OK", undefined);
  }

  failed(error: CaxtonError): void {
    this.#ended(error.code, error);
  }

  #ended(code: string, error: CaxtonError | undefined): void {
    const { log, metrics } = this.#api;
    const durationMs = performance.now() - this.#startedAt;
    metrics.requestEnded(this.#method, code, durationMs / 1000);
    const line = {
      method: this.#method,
      code,
      durationMs: Math.round(durationMs * 1000) / 1000,
      traceId: this.traceId,
    };
    if (error === undefined) log.info(line, "request");
    else if (code === "INTERNAL") log.error({ ...line, err: error.cause ?? error }, "request");
    else log.info({ ...line, reason: error.message }, "request");
  }
}

export function unary<Q, A>(
  api: ApiContext,
  method: string,
  run: (request: Q, call: CallInfo) => Promise<A>,
): handleUnaryCall<Q, A> {
  return (call, callback) => {
    const record = new RequestRecord(api, method, call.metadata);
    const info = { traceparent: record.traceparent, remainingMs: remainingMs(call.getDeadline()) };
    run(call.request, info).then(
      (answer) => {
        callback(null, answer);
        record.succeeded();
      },
      (thrown: unknown) => {
        const error = asCaxtonError(thrown);
        callback(toServiceError(error, record.traceId));
        record.failed(error);
      },
    );
  };
}

function remainingMs(deadline: Date | number): number {
  return deadline === Infinity ? Infinity : Number(deadline) - Date.now();
}
