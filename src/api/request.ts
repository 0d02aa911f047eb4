/** What every request shares, whichever way it came: trace id, one log line and request metrics. */
import type { NodeKernel } from "../actors/index.ts";
import type { LiveConfig } from "../base/live-config.ts";
import { CaxtonError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { RecentLog } from "../base/recent-log.ts";
import {
  formatTraceparent,
  newSpanId,
  newTraceId,
  parseTraceparent,
  type Span,
  type SpanSink,
} from "../base/trace.ts";
import type { ApiMetrics } from "./metrics.ts";

export interface ApiContext {
  readonly kernel: NodeKernel;
  readonly config: LiveConfig;
  readonly log: Logger;
  readonly recentLog: RecentLog;
  readonly metrics: ApiMetrics;
  /** Undefined when nothing is traced. */
  readonly spans: SpanSink | undefined;
}

export interface CallInfo {
  /** What the request's messages carry: the request's own span, else what the caller sent. */
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
  /** The span that begins with it; undefined when it is not sampled. */
  readonly #span: Pick<Span, "spanId" | "parentId" | "startMs"> | undefined;

  constructor(api: ApiContext, method: string, traceparent: unknown) {
    this.#api = api;
    this.#method = method;
    const sent = typeof traceparent === "string" ? traceparent : "";
    const caller = parseTraceparent(sent);
    const { traceId = newTraceId(), spanId: parentId } = caller ?? {};
    this.traceId = traceId;
    this.traceparent = caller === undefined ? undefined : sent;
    if (api.spans === undefined) return;
    const isSampled = caller?.isSampled ?? Math.random() < api.config.current.tracing.sampleRatio;
    if (!isSampled) return;
    const spanId = newSpanId();
    this.#span = { spanId, parentId, startMs: Date.now() };
    this.traceparent = formatTraceparent({ traceId, spanId, isSampled });
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
    this.#endSpan(code, durationMs, error);
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

  #endSpan(code: string, durationMs: number, error: CaxtonError | undefined): void {
    if (this.#span === undefined) return;
    this.#api.spans?.add({
      ...this.#span,
      traceId: this.traceId,
      name: `caxton.api.${this.#method.replace(/(?<!^)[A-Z]/g, "_$&").toLowerCase()}`,
      kind: "server",
      endMs: this.#span.startMs + durationMs,
      attributes: { "caxton.code": code },
      error: error === undefined ? undefined : `${code}: ${error.message}`,
    });
  }
}

export function nodeIsStopping(): CaxtonError {
  return new CaxtonError("NOT_READY", "The node is stopping.");
}
