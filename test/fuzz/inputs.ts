/** Requests as nobody should send them, drawn from a seed. */
import type { DescField, DescMessage } from "@bufbuild/protobuf";
import { ScalarType } from "@bufbuild/protobuf";
import type { SeededRandom } from "../../src/base/random.ts";
import type { HttpRule } from "../../src/api/rest/schema.ts";

const NAMES = ["default", "echo", "probe", "nobody", "", "..", "%00", "a/b", "ü", "A".repeat(300)];
const TEXTS = [
  "default/echo/a",
  "default/probe/b",
  "default/echo",
  "text/plain",
  "application/json",
  "request",
  "\u0000",
  "\ud800",
  "💥",
  "{}",
  "x".repeat(5000),
];
const NUMBERS = [0, 1, -1, 0.5, 2 ** 31, 2 ** 53, 1e300, -0];
const DEPTH_MAX = 4;

export interface RestRequest {
  readonly verb: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: string | undefined;
}

export function pick<T>(random: SeededRandom, items: readonly T[]): T {
  return items[random.below(items.length)]!;
}

export function restRequest(random: SeededRandom, rules: readonly HttpRule[]): RestRequest {
  const rule = pick(random, rules);
  const filled = rule.path.replaceAll(/\{\w+(?:=([^}]*))?\}/g, (_, wild: string | undefined) =>
    (wild ?? "*").replaceAll(/\*+/g, () => encodeURIComponent(pick(random, NAMES).toWellFormed())),
  );
  const verb = random.chance(0.9) ? rule.verb : pick(random, ["PUT", "GET", "POST", "DELETE"]);
  const path = random.chance(0.03) ? `${filled}/${pick(random, NAMES.slice(0, 4))}` : filled;
  const headers: Record<string, string> = {};
  if (random.chance(0.1)) headers["idempotency-key"] = `key-${random.below(50)}`;
  if (random.chance(0.1))
    headers["traceparent"] = pick(random, ["x", "00-0-0-00", "00-".repeat(50)]);
  let body = rule.verb === "POST" ? bodyText(random, rule) : undefined;
  if (body !== undefined) {
    headers["content-type"] = random.chance(0.95) ? "application/json" : pick(random, FORMS);
    if (headers["content-type"].endsWith("boundary=x") && random.chance(0.8)) {
      body = FORM.slice(0, random.below(FORM.length + 1));
    }
  }
  return { verb, path: `${path}${query(random, rule)}`, headers, body };
}

const FORM = [
  "--x",
  'content-disposition: form-data; name="manifest"',
  "",
  "name: a",
  "--x",
  'content-disposition: form-data; name="module"; filename="a.wasm"',
  "",
  "abc",
  "--x--",
  "",
].join("\r\n");
const FORMS = ["text/plain", "multipart/form-data", "multipart/form-data; boundary=x", "a;;;"];

function query(random: SeededRandom, rule: HttpRule): string {
  const fields = rule.queryFields;
  const parts: string[] = [];
  while (random.chance(0.4)) {
    const name = fields.length > 0 && random.chance(0.8) ? pick(random, fields).jsonName : "what";
    const value = random.chance(0.5) ? pick(random, TEXTS) : String(pick(random, NUMBERS));
    parts.push(`${name}=${encodeURIComponent(value.toWellFormed().slice(0, 500))}`);
  }
  return parts.length === 0 ? "" : `?${parts.join("&")}`;
}

function bodyText(random: SeededRandom, { method, body }: HttpRule): string {
  const field = method.input.fields.find(({ name }) => name === body);
  const text = JSON.stringify(messageJson(random, field?.message ?? method.input, 0));
  if (random.chance(0.05)) return text.slice(0, random.below(text.length + 1));
  return random.chance(0.02) ? `${"[".repeat(20_000)}${text}` : text;
}

function messageJson(random: SeededRandom, desc: DescMessage, depth: number): unknown {
  const json: Record<string, unknown> = {};
  for (const field of desc.fields) {
    if (random.chance(0.4)) continue;
    const isWild = random.chance(0.1);
    json[field.jsonName] = isWild ? wild(random, depth) : fieldJson(random, field, depth);
  }
  if (random.chance(0.05)) json[pick(random, TEXTS)] = wild(random, depth);
  return json;
}

function fieldJson(random: SeededRandom, field: DescField, depth: number): unknown {
  if (field.fieldKind === "message") return messageJson(random, field.message, depth + 1);
  if (field.fieldKind === "list") return [pick(random, TEXTS)];
  if (field.fieldKind === "map") return { [pick(random, TEXTS)]: pick(random, TEXTS) };
  if (field.fieldKind === "enum") return "idle";
  const { scalar } = field;
  if (scalar === ScalarType.STRING || scalar === ScalarType.BYTES) return pick(random, TEXTS);
  return scalar === ScalarType.BOOL ? random.chance(0.5) : pick(random, NUMBERS);
}

function wild(random: SeededRandom, depth: number): unknown {
  if (depth < DEPTH_MAX && random.chance(0.4)) return [wild(random, depth + 1), null];
  if (depth < DEPTH_MAX && random.chance(0.4)) return { a: wild(random, depth + 1) };
  return pick(random, [null, true, ...NUMBERS, ...TEXTS]);
}

/** A valid encoding with bytes changed, cut off or put in, or no encoding at all. */
export function mutated(random: SeededRandom, valid: Uint8Array): Buffer {
  if (random.chance(0.2)) {
    return Buffer.from(Array.from({ length: random.below(64) }, () => random.below(256)));
  }
  const bytes = Buffer.from(valid);
  while (bytes.length > 0 && random.chance(0.6)) {
    bytes[random.below(bytes.length)] = random.below(256);
  }
  return random.chance(0.1) ? bytes.subarray(0, random.below(bytes.length + 1)) : bytes;
}

/** What is no HTTP, or only begins to be. */
export function rawBytes(random: SeededRandom): string {
  return pick(random, [
    "GET /api/v1/agents HTTP/1.1\r\nhost: x\r\n",
    "POST /api/v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{",
    "POST /api/v1/messages HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    `GET /${"a".repeat(100_000)} HTTP/1.1\r\n\r\n`,
    "\u0000\u0001\u0002",
    "GET / HTTP/9.9\r\n\r\n",
    "GET // HTTP/1.1\r\nhost: x\r\n\r\n",
    "GET http://[/ HTTP/1.1\r\nhost: x\r\n\r\n",
    "",
  ]);
}
