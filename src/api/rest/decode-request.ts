/** A request's path, query, body and headers as the method's message. */
import type { IncomingHttpHeaders } from "node:http";
import type { DescField, DescMessage } from "@bufbuild/protobuf";
import type { Finding } from "../../base/errors.ts";
import { didYouMean } from "../../base/nearest.ts";
import { refuse } from "../service/validate.ts";
import {
  decodeMessage,
  decodeText,
  emptyMessage,
  put,
  type RequestMessage,
} from "./json-decoder.ts";
import type { Match } from "./router.ts";

const IDEMPOTENCY_KEY = "idempotency-key";

export interface RequestParts {
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** JSON value of the body; undefined without one. */
  readonly body: unknown;
}

/** Throws INVALID_ARGUMENT with everything that is wrong. */
export function decodeRequest(
  { rule, pathValues }: Match,
  { query, headers, body }: RequestParts,
): RequestMessage {
  const findings: Finding[] = [];
  const { input } = rule.method;
  const request = decodeBody(input, rule.body, body, findings);
  rule.pathFields.forEach((field, i) => {
    put(request, field, decodeText(field, [pathValues[i]!], field.jsonName, findings));
  });
  putQuery(request, rule.queryFields, query, findings);
  putIdempotencyKey(request, headers[IDEMPOTENCY_KEY], findings);
  // Browsers send it when they come back.
  const lastEvent = headers["last-event-id"];
  if (request["resumeToken"] === "" && lastEvent !== undefined)
    request["resumeToken"] = String(lastEvent);
  refuse(findings);
  return request;
}

function decodeBody(
  input: DescMessage,
  part: string,
  body: unknown,
  findings: Finding[],
): RequestMessage {
  if (part === "*") return decodeMessage(input, body ?? {}, "", findings);
  const request = emptyMessage(input);
  const field = input.fields.find(({ name }) => name === part);
  if (field === undefined) {
    if (body !== undefined) findings.push({ at: "body", message: "is not taken here" });
  } else if (field.fieldKind === "message") {
    request[field.localName] = decodeMessage(field.message, body ?? {}, "", findings);
  }
  return request;
}

function putQuery(
  request: RequestMessage,
  known: readonly DescField[],
  query: URLSearchParams,
  findings: Finding[],
): void {
  for (const name of new Set(query.keys())) {
    const field = known.find(({ jsonName }) => jsonName === name);
    if (field === undefined) {
      const names = known.map(({ jsonName }) => jsonName);
      const hint = didYouMean(name, names);
      const message = "is not a query parameter here";
      findings.push({ at: name, message, ...(hint !== undefined && { hint }) });
    } else put(request, field, decodeText(field, query.getAll(name), name, findings));
  }
}

/** The key is the id of the message: a repeat is recognised by it. */
function putIdempotencyKey(
  request: RequestMessage,
  key: string | string[] | undefined,
  findings: Finding[],
): void {
  const message = request["message"] as { id?: string } | undefined;
  if (key === undefined || message?.id === undefined) return;
  if (message.id !== "" && message.id !== key) {
    findings.push({ at: "id", message: "differs from the header Idempotency-Key" });
  }
  message.id = String(key);
}
