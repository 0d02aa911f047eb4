/**
 * JSON to requests. Names are those of proto3 JSON; enums are short names in lower case; bytes are text under
 * their own name or base64 under the name with Base64 behind it. All that is wrong is found, with its place.
 */
import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import type { Finding } from "../../base/errors.ts";
import { didYouMean } from "../../base/nearest.ts";
import { isJsonType } from "../service/validate.ts";
import { BASE64, enumName, isBytes } from "./schema.ts";

type Json = Readonly<Record<string, unknown>>;
/** As generated code has it. */
export type RequestMessage = Record<string, unknown>;

const BASE64_PATTERN = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/;
const DEFAULT_JSON_TYPE = "application/json";
const DEFAULT_TEXT_TYPE = "text/plain; charset=utf-8";

/** The message with nothing in it. */
export function emptyMessage(desc: DescMessage): RequestMessage {
  const message: RequestMessage = {};
  for (const field of desc.fields) message[placeOf(field)] = emptyValue(field);
  return message;
}

function placeOf(field: DescField): string {
  return (field.oneof ?? field).localName;
}

function emptyValue(field: DescField): unknown {
  if (field.oneof !== undefined || field.proto.proto3Optional) return undefined;
  switch (field.fieldKind) {
    case "list":
      return [];
    case "map":
      return {};
    case "message":
      return undefined;
    case "enum":
      return field.enum.values[0]!.name;
    case "scalar":
      return emptyScalar(field.scalar);
  }
}

function emptyScalar(type: ScalarType): unknown {
  if (type === ScalarType.STRING) return "";
  if (type === ScalarType.BYTES) return new Uint8Array(0);
  return type === ScalarType.BOOL ? false : 0;
}

/** What can't be decoded is added to the findings; the result then has no meaning. */
export function decodeMessage(
  desc: DescMessage,
  json: unknown,
  at: string,
  findings: Finding[],
): RequestMessage {
  const message = emptyMessage(desc);
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    findings.push({ at: at === "" ? "body" : at, message: "must be an object" });
    return message;
  }
  const fields = fieldsByName(desc);
  const hasContent = takeContent(desc, json as Json, at, message, findings);
  for (const [name, value] of Object.entries(json)) {
    const path = inside(at, name);
    const field = fields.get(name);
    if (field === undefined) {
      const hint = didYouMean(name, fields.keys());
      findings.push({ at: path, message: "is not a field", ...(hint !== undefined && { hint }) });
    } else if (value !== null && !(hasContent && field.name === "content")) {
      put(message, field, decodeField(field, name, value, path, findings));
    }
  }
  return message;
}

export function put(message: RequestMessage, field: DescField, value: unknown): void {
  message[placeOf(field)] = field.oneof ? { $case: field.localName, value } : value;
}

/** The place of something in what is at a place. */
function inside(at: string, name: string): string {
  return at === "" ? name : `${at}.${name}`;
}

function fieldsByName(desc: DescMessage): Map<string, DescField> {
  const fields = new Map<string, DescField>();
  for (const field of desc.fields) {
    fields.set(field.jsonName, field);
    if (isBytes(field)) fields.set(field.jsonName + BASE64, field);
  }
  return fields;
}

/** The content of a message is what its content type says: a JSON value or text. */
function takeContent(
  desc: DescMessage,
  json: Json,
  at: string,
  message: RequestMessage,
  findings: Finding[],
): boolean {
  const hasType = desc.fields.some(({ name }) => name === "content_type");
  const { content, contentType } = json;
  if (!hasType || content === undefined) return false;
  if (json[`content${BASE64}`] !== undefined) {
    findings.push({
      at: inside(at, "content"),
      message: `is given twice, also as content${BASE64}`,
    });
  }
  const byDefault = typeof content === "string" ? DEFAULT_TEXT_TYPE : DEFAULT_JSON_TYPE;
  const type = typeof contentType === "string" && contentType !== "" ? contentType : byDefault;
  const isText = typeof content === "string" && !isJsonType(type);
  message["content"] = Buffer.from(isText ? content : JSON.stringify(content));
  message["contentType"] = type;
  if (!isText && !isJsonType(type)) {
    const message = `must be a string when contentType is ${type}`;
    findings.push({ at: inside(at, "content"), message });
  }
  return true;
}

function decodeField(
  field: DescField,
  name: string,
  value: unknown,
  at: string,
  findings: Finding[],
): unknown {
  switch (field.fieldKind) {
    case "list":
      return decodeList(field, value, at, findings);
    case "map":
      return decodeMap(field, value, at, findings);
    case "message":
      return decodeMessage(field.message, value, at, findings);
    case "enum":
      return decodeEnum(field, value, at, findings);
    case "scalar":
      if (isBytes(field)) {
        return decodeBytes(value, name.endsWith(BASE64), at, findings);
      }
      return decodeScalar(field.scalar, value, at, findings);
  }
}

function decodeList(
  field: Extract<DescField, { fieldKind: "list" }>,
  value: unknown,
  at: string,
  findings: Finding[],
): unknown {
  if (!Array.isArray(value)) {
    findings.push({ at, message: "must be a list" });
    return [];
  }
  return value.map((item, i) => {
    const place = `${at}[${i}]`;
    if (field.listKind === "message") return decodeMessage(field.message, item, place, findings);
    if (field.listKind === "enum") return decodeEnum(field, item, place, findings);
    return decodeScalar(field.scalar, item, place, findings);
  });
}

function decodeMap(
  field: Extract<DescField, { fieldKind: "map" }>,
  value: unknown,
  at: string,
  findings: Finding[],
): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    findings.push({ at, message: "must be an object" });
    return {};
  }
  const type = field.mapKind === "scalar" ? field.scalar : ScalarType.STRING;
  const entries = Object.entries(value).map(([key, item]) => {
    return [key, decodeScalar(type, item, `${at}.${key}`, findings)];
  });
  return Object.fromEntries(entries);
}

function decodeEnum(
  field: DescField & { readonly enum: NonNullable<DescField["enum"]> },
  value: unknown,
  at: string,
  findings: Finding[],
): unknown {
  const [none, ...known] = field.enum.values;
  if (value === "") return none!.name;
  const found = known.find((each) => enumName(each) === value);
  if (found !== undefined) return found.name;
  findings.push({ at, message: `must be one of ${known.map(enumName).join(", ")}` });
  return none!.name;
}

function decodeBytes(
  value: unknown,
  isBase64: boolean,
  at: string,
  findings: Finding[],
): Uint8Array {
  if (typeof value === "string" && !isBase64) return Buffer.from(value);
  if (typeof value === "string" && BASE64_PATTERN.test(value)) return Buffer.from(value, "base64");
  findings.push({ at, message: isBase64 ? "must be base64" : "must be a string" });
  return new Uint8Array(0);
}

const INT32: readonly [number, number] = [-0x80000000, 0x7fffffff];
const RANGES: ReadonlyMap<ScalarType, readonly [number, number]> = new Map([
  [ScalarType.INT32, INT32],
  [ScalarType.UINT32, [0, 0xffffffff]],
  [ScalarType.INT64, [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER]],
]);

function decodeScalar(type: ScalarType, value: unknown, at: string, findings: Finding[]): unknown {
  const expect = (isGood: boolean, what: string): unknown => {
    if (isGood) return value;
    findings.push({ at, message: `must be ${what}` });
    return emptyScalar(type);
  };
  if (type === ScalarType.STRING) return expect(typeof value === "string", "a string");
  if (type === ScalarType.BOOL) return expect(typeof value === "boolean", "true or false");
  const range = RANGES.get(type);
  if (range === undefined) return expect(typeof value === "number", "a number");
  const isWhole = typeof value === "number" && Number.isInteger(value);
  const [min, max] = range;
  return expect(isWhole && value >= min && value <= max, `a whole number from ${min} to ${max}`);
}

/** A value of a path or a query, which is text whatever it stands for. */
export function decodeText(
  field: DescField,
  texts: readonly string[],
  at: string,
  findings: Finding[],
): unknown {
  if (field.fieldKind === "list") {
    return texts.map((text, i) => parsed(field.scalar, text, `${at}[${i}]`, findings));
  }
  if (texts.length > 1) findings.push({ at, message: "is given more than once" });
  const text = texts[0]!;
  if (field.fieldKind === "enum") return decodeEnum(field, text, at, findings);
  return parsed(field.scalar, text, at, findings);
}

function parsed(
  type: ScalarType | undefined,
  text: string,
  at: string,
  findings: Finding[],
): unknown {
  if (type === undefined || type === ScalarType.STRING) return text;
  if (type === ScalarType.BYTES) return decodeBytes(text, at.endsWith(BASE64), at, findings);
  const value = text === "true" ? true : text === "false" ? false : Number(text || "none");
  return decodeScalar(type, value, at, findings);
}
