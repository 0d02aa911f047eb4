/** What every request shares, whichever way it came: trace id, one log line and request metrics. */
import type { NodeKernel } from "../actors/index.ts";
import type { LiveConfig } from "../base/live-config.ts";
import { CaxtonError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { RecentLog } from "../base/recent-log.ts";
import { newTraceId, traceIdOf } from "../base/trace.ts";
import type { ApiMetrics } from "./metrics.ts";

export interface ApiContext {
  readonly kernel: NodeKernel;
  readonly config: LiveConfig;
  readonly log: Logger;
  readonly recentLog: RecentLog;
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

  constructor(api: ApiContext, method: string, traceparent: unknown) {
    this.#api = api;
    this.#method = method;
    const traceId = typeof traceparent === "string" ? traceIdOf(traceparent) : undefined;
    this.traceparent = traceId === undefined ? undefined : (traceparent as string);
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

export function nodeIsStopping(): CaxtonError {
  return new CaxtonError("NOT_READY", "The node is stopping.");
}
