/** Answers of the API as plain values for JSON and YAML: enums by short name, bytes as text or base64. */
import { isUtf8 } from "node:buffer";

const ENUM_PREFIX =
  /^(ACTOR_STATUS|AGENT_STATUS|DEPLOY_STAGE_NAME|LOG_LEVEL|SUPERVISOR_NODE_KIND|TRACE_EFFECT_KIND|TRACE_EVENT_KIND)_/;

type Plain = string | number | boolean | null | Plain[] | { [key: string]: Plain };

export function plain(value: unknown): Plain {
  if (typeof value === "string") return enumName(value);
  if (typeof value === "number" || typeof value === "boolean") return value;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "object" && value !== null) return plainObject(value);
  return null;
}

/** `ACTOR_STATUS_IDLE` -> `idle`; other texts stay as they are. */
export function enumName(value: string): string {
  return ENUM_PREFIX.test(value) ? value.replace(ENUM_PREFIX, "").toLowerCase() : value;
}

function plainObject(value: object): Plain {
  const contentType = "contentType" in value ? String(value.contentType) : "text/plain";
  const result: { [key: string]: Plain } = {};
  for (const [key, inner] of Object.entries(value)) {
    if (inner instanceof Uint8Array) Object.assign(result, plainBytes(key, inner, contentType));
    else if (inner !== undefined) result[key] = plain(inner);
  }
  return result;
}

function plainBytes(key: string, bytes: Uint8Array, contentType: string): Record<string, Plain> {
  const text = textOf(bytes);
  if (text === undefined) return { [`${key}Base64`]: Buffer.from(bytes).toString("base64") };
  if (!contentType.includes("json")) return { [key]: text };
  try {
    return { [key]: JSON.parse(text) as Plain };
  } catch {
    return { [key]: text };
  }
}

/** Undefined when the bytes are no text. */
export function textOf(bytes: Uint8Array): string | undefined {
  return isUtf8(bytes) ? Buffer.from(bytes).toString("utf8") : undefined;
}
