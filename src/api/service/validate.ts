/** Checks of request fields. A refusal lists every violation. */
import { isUtf8 } from "node:buffer";
import { parseAddress } from "../../actors/index.ts";
import { CaxtonError, type Finding } from "../../base/errors.ts";
import type { OutgoingMessage } from "../../gen/caxton/v1/message.ts";

const ID_PATTERN = /^[\x21-\x7e]{1,128}$/;
const NAME_PATTERN = /^[a-z0-9-]{1,63}$/;
const CLIENT_PATTERN = /^[^/\p{Cc}]{1,128}$/u;
const PERFORMATIVE_PATTERN = /^[a-z][a-z0-9-]{0,63}$/;
const MEDIA_TYPE_PATTERN = /^[\w.+-]{1,63}\/[\w.+-]{1,63}(;[\x20-\x7e]{0,63})?$/;
const TEXT_FIELD_LENGTH_MAX = 256;
const HEADERS_MAX = 64;
const HEADERS_LENGTH_MAX = 8192;
const PAGE_SIZE_DEFAULT = 100;
const PAGE_SIZE_MAX = 1000;

/** Throws `INVALID_ARGUMENT` when there is something to complain about. */
export function refuse(findings: readonly Finding[]): void {
  if (findings.length > 0) throw refusal(...findings);
}

export function refusal(...findings: readonly Finding[]): CaxtonError {
  return new CaxtonError("INVALID_ARGUMENT", undefined, { findings });
}

export function checkAgentName(request: { namespace: string; name: string }): void {
  refuse([...nameFindings("namespace", request.namespace), ...nameFindings("name", request.name)]);
}

/** For filters, where an empty name means all. */
export function checkAgentFilter(request: { namespace: string; agent: string }): void {
  const { namespace, agent } = request;
  refuse([
    ...(namespace === "" ? [] : nameFindings("namespace", namespace)),
    ...(agent === "" ? [] : nameFindings("agent", agent)),
  ]);
}

function nameFindings(at: string, name: string): Finding[] {
  if (NAME_PATTERN.test(name)) return [];
  return [{ at, message: name === "" ? "is required" : "must be 1 to 63 of a-z, 0-9 and -" }];
}

export function checkRequired(at: string, value: string): void {
  if (value === "") refuse([{ at, message: "is required" }]);
}

export function pageRequest(request: { pageSize: number; pageToken: string }): {
  pageSize: number;
  pageToken?: string;
} {
  if (request.pageSize > PAGE_SIZE_MAX) {
    refuse([{ at: "page_size", message: `must be at most ${PAGE_SIZE_MAX}` }]);
  }
  const pageSize = request.pageSize === 0 ? PAGE_SIZE_DEFAULT : request.pageSize;
  return request.pageToken === "" ? { pageSize } : { pageSize, pageToken: request.pageToken };
}

/**
 * The cheap checks run on every message; the kernel checks the address. Only a message that is refused
 * for something else has its address looked at here too, so that the list is complete.
 */
export function checkMessage(message: OutgoingMessage, messageBytesMax: number): void {
  if (message.content.length > messageBytesMax) {
    throw new CaxtonError(
      "MESSAGE_TOO_LARGE",
      `The content has ${message.content.length} bytes; limits.messageBytesMax is ${messageBytesMax}.`,
    );
  }
  const findings = messageFindings(message);
  if (findings.length > 0) refuse([...addressFindings(message.receiver), ...findings]);
  checkContent(message);
}

function messageFindings(message: OutgoingMessage): Finding[] {
  const findings: Finding[] = [];
  const expect = (field: string, value: string, pattern: RegExp, text: string): void => {
    if (value !== "" && !pattern.test(value)) {
      findings.push({ at: `message.${field}`, message: text });
    }
  };
  if (message.receiver === "") {
    findings.push({ at: "message.receiver", message: "is required" });
  }
  expect("id", message.id, ID_PATTERN, "must be 1 to 128 printable ASCII characters");
  expect(
    "performative",
    message.performative,
    PERFORMATIVE_PATTERN,
    "must be 1 to 64 of a-z, 0-9 and -, a letter first",
  );
  expect("content_type", message.contentType, MEDIA_TYPE_PATTERN, "must be a media type");
  expect("client", message.client, CLIENT_PATTERN, "must be 1 to 128 characters without a slash");
  const texts: [string, string][] = [
    ["conversation_id", message.conversationId],
    ["reply_with", message.replyWith],
    ["in_reply_to", message.inReplyTo],
    ["ontology", message.ontology],
    ["language", message.language],
    ["protocol", message.protocol],
  ];
  for (const [field, value] of texts) {
    if (value.length > TEXT_FIELD_LENGTH_MAX) {
      const text = `must have at most ${TEXT_FIELD_LENGTH_MAX} characters`;
      findings.push({ at: `message.${field}`, message: text });
    }
  }
  findings.push(...headerFindings(message.headers));
  return findings;
}

function headerFindings(headers: Readonly<Record<string, string>>): Finding[] {
  const at = "message.headers";
  const entries = Object.entries(headers);
  if (entries.length > HEADERS_MAX) return [{ at, message: `at most ${HEADERS_MAX} are allowed` }];
  let length = 0;
  for (const [key, value] of entries) {
    if (key === "" || key.includes("\0")) {
      return [{ at, message: "a key must not be empty nor hold a zero byte" }];
    }
    length += key.length + value.length;
  }
  if (length <= HEADERS_LENGTH_MAX) return [];
  return [{ at, message: `keys and values must have at most ${HEADERS_LENGTH_MAX} characters` }];
}

function addressFindings(receiver: string): Finding[] {
  if (receiver === "") return [];
  try {
    parseAddress(receiver);
    return [];
  } catch (error) {
    return [{ at: "message.receiver", message: (error as CaxtonError).message }];
  }
}

const JSON_TYPE = /^application\/([\w.-]+\+)?json *(;|$)/i;

export function isJsonType(contentType: string): boolean {
  return JSON_TYPE.test(contentType);
}

function checkContent(message: OutgoingMessage): void {
  const { contentType, content } = message;
  const isJson = isJsonType(contentType);
  if (!isJson && !contentType.startsWith("text/")) return;
  if (!isUtf8(content)) throw badContent(contentType, "it is not UTF-8");
  if (!isJson) return;
  try {
    JSON.parse(utf8(content));
  } catch (error) {
    throw badContent(contentType, (error as Error).message);
  }
}

function utf8(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}

function badContent(contentType: string, why: string): CaxtonError {
  return new CaxtonError("INVALID_CONTENT", `The content is not ${contentType}: ${why}.`);
}
