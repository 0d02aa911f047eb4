/**
 * Answers to JSON: see json-decoder.ts. Empty text and values that are not there are left out; bytes that are text
 * also stand there as text.
 */
import { isUtf8 } from "node:buffer";
import type { DescField, DescMessage } from "@bufbuild/protobuf";
import { isJsonType } from "../service/validate.ts";
import { BASE64, enumName, isBytes } from "./schema.ts";

type Value = Readonly<Record<string, unknown>>;

export function encodeMessage(desc: DescMessage, message: Value): Record<string, unknown> {
  const json: Record<string, unknown> = {};
  for (const field of desc.fields) {
    const value = valueOf(field, message);
    if (value === undefined || value === "") continue;
    if (isBytes(field)) {
      const type = field.name === "content" ? (message["contentType"] as string) : undefined;
      encodeBytes(json, field.jsonName, value as Uint8Array, type);
    } else json[field.jsonName] = encodeField(field, value);
  }
  return json;
}

function valueOf(field: DescField, message: Value): unknown {
  const { oneof, localName } = field;
  if (oneof === undefined) return message[localName];
  const chosen = message[oneof.localName] as { $case: string; value: unknown } | undefined;
  return chosen?.$case === localName ? chosen.value : undefined;
}

function encodeField(field: DescField, value: unknown): unknown {
  switch (field.fieldKind) {
    case "message":
      return encodeMessage(field.message, value as Value);
    case "enum":
      return encodeEnum(field.enum, value as string);
    case "list":
      return (value as readonly unknown[]).map((item) => {
        if (field.listKind === "message") return encodeMessage(field.message, item as Value);
        return field.listKind === "enum" ? encodeEnum(field.enum, item as string) : item;
      });
    case "map":
    case "scalar":
      return value;
  }
}

/** Undefined, which JSON leaves out, for the value that stands for none. */
function encodeEnum(desc: NonNullable<DescField["enum"]>, value: string): string | undefined {
  const found = desc.values.find(({ name }) => name === value);
  return found === undefined || found.number === 0 ? undefined : enumName(found);
}

/** `contentType`: of what the bytes are, when something says so. */
function encodeBytes(
  json: Record<string, unknown>,
  name: string,
  bytes: Uint8Array,
  contentType: string | undefined,
): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (contentType !== undefined && isJsonType(contentType)) {
    try {
      json[name] = JSON.parse(buffer.toString());
      return;
    } catch {
      // Agents may say of anything that it is JSON.
    }
  }
  const isText = contentType === undefined || contentType.startsWith("text/");
  if (isText && isUtf8(buffer)) json[name] = buffer.toString();
  if (contentType === undefined || json[name] === undefined) {
    json[name + BASE64] = buffer.toString("base64");
  }
}
