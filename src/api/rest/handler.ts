/** Answers REST requests with the methods of the API. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { asCaxtonError, CaxtonError } from "../../base/errors.ts";
import type { OpenCalls } from "../open-calls.ts";
import { type ApiContext, nodeIsStopping, RequestRecord } from "../request.ts";
import type { StreamMethod, UnaryMethod } from "../service/method.ts";
import type { ApiService } from "../service/services.ts";
import { allowOrigin } from "./cors.ts";
import { decodeRequest } from "./decode-request.ts";
import { sendEvents } from "./events.ts";
import type { RequestMessage } from "./json-decoder.ts";
import { encodeMessage } from "./json-encoder.ts";
import { problemOf, PROBLEM_TYPE } from "./problem.ts";
import { readJsonBody } from "./request-body.ts";
import { type Match, MethodNotAllowed, Router } from "./router.ts";
import { type HttpRule, readHttpRules } from "./schema.ts";

const BASE = "/api/v1";
const JSON_TYPE = "application/json";
const OPENAPI = new URL("../../gen/openapi.json", import.meta.url);
const DOCS_PAGE = new URL("./docs-page.html", import.meta.url);
/** Base64 and the rest of JSON. */
const JSON_SHARE = 1.5;
/** Of a path in an answer. */
const PATH_LENGTH_MAX = 200;

type Answer = Readonly<Record<string, unknown>>;

interface Page {
  readonly type: string;
  readonly body: Buffer;
}

export class RestHandler {
  readonly #api: ApiContext;
  readonly #openCalls: OpenCalls;
  readonly #router: Router;
  readonly #methods = new Map<string, unknown>();
  readonly #bodyBytesMax: number;
  readonly #pages: ReadonlyMap<string, Page>;

  constructor(api: ApiContext, services: readonly ApiService[], openCalls: OpenCalls) {
    this.#api = api;
    this.#openCalls = openCalls;
    this.#router = new Router(readHttpRules());
    const { moduleBytesMax, messageBytesMax } = api.config.current.limits;
    this.#bodyBytesMax = Math.ceil(JSON_SHARE * Math.max(moduleBytesMax, messageBytesMax)) + 65_536;
    for (const { definition, methods } of services) {
      for (const [name, { path }] of Object.entries(definition)) {
        this.#methods.set(path, methods[name]);
      }
    }
    this.#pages = new Map([
      [`${BASE}/openapi.json`, { type: JSON_TYPE, body: readFileSync(OPENAPI) }],
      [`${BASE}/docs`, { type: "text/html; charset=utf-8", body: readFileSync(DOCS_PAGE) }],
    ]);
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (allowOrigin(request, response, this.#api.config.current.api.rest.corsOrigins)) return;
    const { traceparent } = request.headers;
    let url: URL;
    let match: Match;
    try {
      url = targetOf(request);
      const page = this.#pages.get(url.pathname);
      if (page !== undefined && request.method === "GET") {
        response.writeHead(200, { "content-type": page.type }).end(page.body);
        return;
      }
      match = this.#router.find(request.method ?? "", url.pathname);
    } catch (error) {
      this.#refuse(response, new RequestRecord(this.#api, "unknown", traceparent), error);
      return;
    }
    const record = new RequestRecord(this.#api, match.rule.method.name, traceparent);
    try {
      const body = await readJsonBody(request, this.#bodyBytesMax);
      const parts = { query: url.searchParams, headers: request.headers, body };
      const decoded = decodeRequest(match, parts);
      if (match.rule.method.methodKind === "unary") {
        await this.#answer(match.rule, decoded, request, response, record);
      } else this.#stream(match.rule, decoded, response, record);
    } catch (error) {
      this.#refuse(response, record, error);
    }
  }

  async #answer(
    rule: HttpRule,
    decoded: RequestMessage,
    request: IncomingMessage,
    response: ServerResponse,
    record: RequestRecord,
  ): Promise<void> {
    const run = this.#methodOf(rule) as UnaryMethod<RequestMessage, Answer>;
    const info = { traceparent: record.traceparent, remainingMs: Infinity };
    const answer = await this.#untilStopped(run(decoded, info));
    const etag = etagOf(answer);
    const headers = {
      "caxton-trace-id": record.traceId,
      "cache-control": "no-store",
      ...(etag !== undefined && { etag }),
    };
    if (etag !== undefined && request.headers["if-none-match"] === etag) {
      response.writeHead(304, headers).end();
    } else {
      const json = Buffer.from(JSON.stringify(encodeMessage(rule.method.output, answer)));
      const described = { "content-type": JSON_TYPE, "content-length": json.length };
      response.writeHead(200, { ...headers, ...described }).end(json);
    }
    record.succeeded();
  }

  /** A node that stops answers what would have to wait longer itself. */
  #untilStopped(answer: Promise<Answer>): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const call = { isStream: false, end: () => reject(nodeIsStopping()) };
      this.#openCalls.add(call);
      answer.then(resolve, reject).finally(() => this.#openCalls.remove(call));
    });
  }

  #stream(
    rule: HttpRule,
    decoded: RequestMessage,
    response: ServerResponse,
    record: RequestRecord,
  ): void {
    sendEvents(response, decoded, record, {
      run: this.#methodOf(rule) as StreamMethod<RequestMessage, Answer>,
      encode: (answer) => encodeMessage(rule.method.output, answer),
      opened: (call) => this.#openCalls.add(call),
      closed: (call) => this.#openCalls.remove(call),
    });
  }

  #methodOf({ service, method }: HttpRule): unknown {
    return this.#methods.get(`/${service}/${method.name}`);
  }

  #refuse(response: ServerResponse, record: RequestRecord, thrown: unknown): void {
    const error = asCaxtonError(thrown);
    record.failed(error);
    if (response.headersSent) {
      response.destroy();
      return;
    }
    const problem = problemOf(error, record.traceId);
    response.writeHead(problem.status, {
      "content-type": PROBLEM_TYPE,
      "cache-control": "no-store",
      "caxton-trace-id": record.traceId,
      ...headersOf(error),
    });
    response.end(JSON.stringify(problem));
  }
}

/** Clients may send what is no URL, such as "//". */
function targetOf({ url = "/" }: IncomingMessage): URL {
  const target = URL.parse(url, "http://localhost");
  if (target !== null) return target;
  throw new CaxtonError("UNKNOWN_PATH", `There is nothing at ${url.slice(0, PATH_LENGTH_MAX)}.`);
}

function headersOf(error: CaxtonError): Record<string, string> {
  return {
    // What is left of a body nobody reads must not be taken for the next request.
    ...(error.code === "REQUEST_TOO_LARGE" && { connection: "close" }),
    ...(error instanceof MethodNotAllowed && { allow: error.allowed.join(", ") }),
    ...(error.retryAfterMs !== undefined && {
      "retry-after": String(Math.ceil(error.retryAfterMs / 1000)),
    }),
  };
}

/** Of a value in the state of an actor: it changes exactly when the value does. */
function etagOf({ entry }: Answer): string | undefined {
  if (entry === undefined) return undefined;
  const { value } = entry as { value: Uint8Array };
  return `"${createHash("sha256").update(value).digest("hex").slice(0, 32)}"`;
}
