/** What every call shares: trace id, one log line, request metrics and the mapping of failures. */
import type { handleUnaryCall, Metadata } from "@grpc/grpc-js";
import type { NodeKernel } from "../../actors/index.ts";
import type { NodeLimits } from "../../base/config-schema.ts";
import { CaxtonError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { newTraceId, traceIdOf } from "../../base/trace.ts";
import type { ApiMetrics } from "../metrics.ts";
import { asCaxtonError, toServiceError } from "./errors.ts";
import type { OpenCall, OpenCalls } from "./open-calls.ts";

export interface ApiContext {
  readonly kernel: NodeKernel;
  readonly limits: NodeLimits;
  readonly log: Logger;
  readonly metrics: ApiMetrics;
}

/** What the handlers of one listener share. */
export interface CallContext extends ApiContext {
  readonly openCalls: OpenCalls;
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
  api: CallContext,
  method: string,
  run: (request: Q, call: CallInfo) => Promise<A>,
): handleUnaryCall<Q, A> {
  return (call, callback) => {
    const record = new RequestRecord(api, method, call.metadata);
    const fail = (error: CaxtonError): void => {
      api.openCalls.remove(open);
      callback(toServiceError(error, record.traceId));
      record.failed(error);
    };
    let isEnded = false;
    const open: OpenCall = {
      isStream: false,
      end: () => {
        isEnded = true;
        fail(nodeIsStopping());
      },
    };
    api.openCalls.add(open);
    const info = { traceparent: record.traceparent, remainingMs: remainingMs(call.getDeadline()) };
    run(call.request, info).then(
      (answer) => {
        if (isEnded) return;
        api.openCalls.remove(open);
        callback(null, answer);
        record.succeeded();
      },
      (thrown: unknown) => {
        if (!isEnded) fail(asCaxtonError(thrown));
      },
    );
  };
}

export function nodeIsStopping(): CaxtonError {
  return new CaxtonError("NOT_READY", "The node is stopping.");
}

function remainingMs(deadline: Date | number): number {
  return deadline === Infinity ? Infinity : Number(deadline) - Date.now();
}
