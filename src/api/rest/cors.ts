/** Pages of other origins that may call: Cross-Origin Resource Sharing (https://fetch.spec.whatwg.org/#http-cors-protocol). */
import type { IncomingMessage, ServerResponse } from "node:http";

const VERBS = "GET, POST, DELETE";
const REQUEST_HEADERS =
  "content-type, idempotency-key, if-none-match, last-event-id, traceparent, tracestate";
const EXPOSED_HEADERS = "caxton-trace-id, etag, retry-after";
const PREFLIGHT_SECONDS = "600";
const ANY = "*";

/**
 * Says that the page may read the answer if its origin is one of those allowed (separated by commas, or `*`).
 * True when the request was only the question whether it may, and is answered.
 */
export function allowOrigin(
  { method, headers }: IncomingMessage,
  response: ServerResponse,
  allowed: string,
): boolean {
  if (allowed === "") return false;
  const origins = allowed.split(",").map((origin) => origin.trim());
  const isForAny = origins.includes(ANY);
  // Caches must not give one origin's answer to another.
  if (!isForAny) response.setHeader("vary", "origin");
  const { origin } = headers;
  if (origin === undefined || !(isForAny || origins.includes(origin))) return false;
  response.setHeader("access-control-allow-origin", isForAny ? ANY : origin);
  response.setHeader("access-control-expose-headers", EXPOSED_HEADERS);
  if (method !== "OPTIONS" || headers["access-control-request-method"] === undefined) return false;
  response.writeHead(204, {
    "access-control-allow-methods": VERBS,
    "access-control-allow-headers": REQUEST_HEADERS,
    "access-control-max-age": PREFLIGHT_SECONDS,
  });
  response.end();
  return true;
}
