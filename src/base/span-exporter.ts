/**
 * Sends spans to an OpenTelemetry collector: OTLP over HTTP, as JSON.
 *
 * Owns the spans that wait to be sent.
 * 1. They never exceed WAITING_MAX: what comes on top is dropped and counted. Nothing ever waits for a collector.
 * 2. One request is under way at a time; what it did not bring is dropped and counted.
 */
import { ensureError } from "./errors.ts";
import type { Logger } from "./log.ts";
import { Seldom } from "./seldom.ts";
import type { Span, SpanSink } from "./trace.ts";
import { VERSION } from "./version.ts";

const WAITING_MAX = 8192;
const REQUEST_SPANS_MAX = 512;
const SEND_AFTER_MS = 1000;
const REQUEST_TIMEOUT_MS = 5000;
const COMPLAIN_EVERY_MS = 60_000;

export interface SpanExporterOptions {
  /** Of the collector; spans go to `/v1/traces` below it. */
  readonly endpoint: string;
  readonly nodeId: string;
  readonly log: Logger;
  /** What became of spans. */
  counted(outcome: "exported" | "dropped", spans: number): void;
}

export class SpanExporter implements SpanSink {
  readonly #options: SpanExporterOptions;
  readonly #url: string;
  #waiting: Span[] = [];
  #timer: NodeJS.Timeout | undefined;
  #sending: Promise<void> | undefined;
  readonly #complaints = new Seldom(COMPLAIN_EVERY_MS);

  constructor(options: SpanExporterOptions) {
    this.#options = options;
    this.#url = `${options.endpoint.replace(/\/+$/, "")}/v1/traces`;
  }

  add(span: Span): void {
    if (this.#waiting.length >= WAITING_MAX) {
      this.#options.counted("dropped", 1);
      return;
    }
    this.#waiting.push(span);
    if (this.#waiting.length >= REQUEST_SPANS_MAX) void this.#send();
    else this.#timer ??= setTimeout(() => void this.#send(), SEND_AFTER_MS).unref();
  }

  /** Sends what waits. */
  async stop(): Promise<void> {
    await this.#sending;
    await this.#send();
  }

  #send(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#sending ??= this.#sendAll().finally(() => (this.#sending = undefined));
    return this.#sending;
  }

  async #sendAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const spans = this.#waiting.slice(0, REQUEST_SPANS_MAX);
      this.#waiting = this.#waiting.slice(REQUEST_SPANS_MAX);
      const failure = await this.#post(JSON.stringify(this.#request(spans)));
      this.#options.counted(failure === undefined ? "exported" : "dropped", spans.length);
      if (failure !== undefined) this.#complain(failure);
    }
  }

  /** Why it failed. */
  async #post(body: string): Promise<string | undefined> {
    try {
      const response = await fetch(this.#url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body,
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
      await response.arrayBuffer();
      return response.ok ? undefined : `HTTP ${response.status}`;
    } catch (thrown) {
      const { message, cause } = ensureError(thrown);
      return cause instanceof Error ? `${message}: ${cause.message}` : message;
    }
  }

  #complain(why: string): void {
    if (!this.#complaints.isDue(performance.now())) return;
    this.#options.log.warn({ url: this.#url, why }, "spans could not be exported");
  }

  #request(spans: readonly Span[]) {
    const resource = attributesOf({
      "service.name": "caxton",
      "service.version": VERSION,
      "service.instance.id": this.#options.nodeId,
    });
    const scope = { name: "caxton", version: VERSION };
    const scopeSpans = [{ scope, spans: spans.map(encodeSpan) }];
    return { resourceSpans: [{ resource: { attributes: resource }, scopeSpans }] };
  }
}

/** Numbers of the enums of OTLP. */
const KINDS = { internal: 1, server: 2, consumer: 5 } as const;
const STATUS_ERROR = 2;

function encodeSpan(span: Span) {
  const { traceId, spanId, parentId, name, error } = span;
  return {
    traceId,
    spanId,
    ...(parentId === undefined ? {} : { parentSpanId: parentId }),
    name,
    kind: KINDS[span.kind],
    startTimeUnixNano: nanoseconds(span.startMs),
    endTimeUnixNano: nanoseconds(span.endMs),
    attributes: attributesOf(span.attributes),
    status: error === undefined ? {} : { code: STATUS_ERROR, message: error },
  };
}

function attributesOf(attributes: Span["attributes"]) {
  return Object.entries(attributes).map(([key, value]) => ({
    key,
    value: typeof value === "number" ? { doubleValue: value } : { stringValue: value },
  }));
}

/** A text of digits: a number can't hold it. */
function nanoseconds(ms: number): string {
  return String(BigInt(Math.round(ms * 1000)) * 1000n);
}
