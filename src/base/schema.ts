/**
 * What configuration and manifest share: text to a plain object, a zod schema's complaints as findings
 * that name the nearest valid key, and the list of a schema's settings for the tables in docs/.
 */
import { isMap, parseDocument } from "yaml";
import { z } from "zod";
import type { Finding } from "./errors.ts";
import { didYouMean } from "./nearest.ts";

export type Checked<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly findings: readonly Finding[] };

/** YAML (and so JSON) text whose root is a mapping; an empty text is an empty mapping. */
export function parseMapping(text: string): Checked<Record<string, unknown>> {
  const document = parseDocument(text, { prettyErrors: false });
  if (document.errors.length > 0) {
    const lineStarts = [0, ...[...text.matchAll(/\n/g)].map((match) => match.index + 1)];
    const findings = document.errors.map((error) => {
      const line = lineStarts.findLastIndex((start) => start <= error.pos[0]);
      const column = error.pos[0] - lineStarts[line]! + 1;
      return { at: `line ${String(line + 1)}, column ${String(column)}`, message: error.message };
    });
    return { ok: false, findings };
  }
  if (document.contents === null) return { ok: true, value: {} };
  if (!isMap(document.contents)) {
    return { ok: false, findings: [{ at: "line 1", message: "expected keys with values" }] };
  }
  try {
    return { ok: true, value: document.toJS({ maxAliasCount: 100 }) as Record<string, unknown> };
  } catch (error) {
    return { ok: false, findings: [{ at: "line 1", message: (error as Error).message }] };
  }
}

export function checkWith<S extends z.ZodType>(schema: S, raw: unknown): Checked<z.output<S>> {
  const result = schema.safeParse(raw, { reportInput: true });
  if (result.success) return { ok: true, value: result.data };
  const shape = shapeOf(schema);
  return { ok: false, findings: result.error.issues.flatMap((issue) => findingsOf(issue, shape)) };
}

/** The part of JSON Schema that zod emits and this file reads. */
interface Shape {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly additionalProperties?: Shape | boolean;
  readonly items?: Shape;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly description?: string;
  readonly default?: unknown;
  readonly defaultText?: string;
  readonly valueText?: string;
  readonly reloadable?: boolean;
}

function shapeOf(schema: z.ZodType): Shape {
  return z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as Shape;
}

function findingsOf(issue: z.core.$ZodIssue, shape: Shape): Finding[] {
  const at = pathText(issue.path);
  if (issue.code === "unrecognized_keys") {
    const known = Object.keys(shapeAt(shape, issue.path)?.properties ?? {});
    return issue.keys.map((key) => unknownKey([...issue.path, key], known));
  }
  if (issue.input === undefined) return [{ at, message: missing(issue) }];
  const hint = issue.code === "invalid_value" ? nearestValue(issue) : undefined;
  return [{ at, message: complaint(issue), ...(hint !== undefined && { hint }) }];
}

function unknownKey(path: readonly PropertyKey[], known: readonly string[]): Finding {
  return {
    at: pathText(path),
    message: "unknown key",
    hint: didYouMean(String(path.at(-1)), known) ?? `Known here: ${known.join(", ")}.`,
  };
}

function nearestValue(issue: z.core.$ZodIssueInvalidValue): string | undefined {
  return didYouMean(String(issue.input), issue.values.map(String));
}

function missing(issue: z.core.$ZodIssue): string {
  return issue.code === "custom" ? issue.message : "is required";
}

function complaint(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return `expected ${article(issue.expected)}, found ${shown(issue.input)}`;
    case "too_big":
      return `${sizeWord(issue.origin)} at most ${String(issue.maximum)}, found ${shown(issue.input)}`;
    case "too_small":
      return `${sizeWord(issue.origin)} at least ${String(issue.minimum)}, found ${shown(issue.input)}`;
    case "invalid_value":
      return `expected one of ${issue.values.map((value) => JSON.stringify(value)).join(", ")}, found ${shown(issue.input)}`;
    default:
      return issue.message;
  }
}

function article(type: string): string {
  if (type === "int") return "a whole number";
  if (type === "record" || type === "object") return "keys with values";
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
}

function sizeWord(origin: string): string {
  if (origin === "string") return "the length must be";
  return origin === "array" ? "the number of items must be" : "must be";
}

function shown(value: unknown): string {
  const text = typeof value === "function" ? "a function" : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}

function pathText(path: readonly PropertyKey[]): string {
  return path.length === 0 ? "(top)" : path.map(String).join(".");
}

function shapeAt(shape: Shape, path: readonly PropertyKey[]): Shape | undefined {
  let here: Shape | undefined = shape;
  for (const part of path) {
    const inner: Shape | boolean | undefined =
      typeof part === "number"
        ? here?.items
        : (here?.properties?.[String(part)] ?? here?.additionalProperties);
    here = typeof inner === "object" ? inner : undefined;
  }
  return here;
}

/** One setting a user can write. */
export interface Setting {
  /** Dotted, e.g. `api.grpc.port`. */
  readonly path: string;
  readonly type: "integer" | "number" | "boolean" | "string" | "mapping" | "list";
  readonly choices: readonly string[];
  /** Of a number its value, of a list its items, of a string its characters. */
  readonly minimum: number | undefined;
  readonly maximum: number | undefined;
  /** What may be written, where type, choices and bounds don't say it all. */
  readonly valueText: string | undefined;
  /** As a user would write it; undefined when the setting is required or has none. */
  readonly defaultText: string | undefined;
  readonly description: string;
  /** A running server can change it. */
  readonly isReloadable: boolean;
}

/** Every setting of a schema in the order written. A mapping with free keys is one setting. */
export function settingsOf(schema: z.ZodType): Setting[] {
  return leaves(shapeOf(schema), []);
}

function leaves(shape: Shape, path: readonly string[]): Setting[] {
  if (shape.properties !== undefined) {
    return Object.entries(shape.properties).flatMap(([key, inner]) =>
      leaves(inner, [...path, key]),
    );
  }
  const own: Setting = {
    path: path.join("."),
    type: settingType(shape),
    choices: (shape.enum ?? (shape.const === undefined ? [] : [shape.const])).map(String),
    minimum: shape.minimum ?? shape.minItems,
    maximum: maximumOf(shape),
    valueText: shape.valueText,
    defaultText: shape.defaultText ?? defaultText(shape.default),
    description: shape.description ?? "",
    isReloadable: shape.reloadable === true,
  };
  if (shape.items?.properties === undefined) return [own];
  return [own, ...leaves(shape.items, [...path.slice(0, -1), `${path.at(-1)!}[]`])];
}

function maximumOf({ maximum, maxItems, maxLength }: Shape): number | undefined {
  const bound = maximum ?? maxItems ?? maxLength;
  return bound === Number.MAX_SAFE_INTEGER ? undefined : bound;
}

function defaultText(value: unknown): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value);
}

function settingType(shape: Shape): Setting["type"] {
  switch (shape.type) {
    case "integer":
    case "number":
    case "boolean":
      return shape.type;
    case "object":
      return "mapping";
    case "array":
      return "list";
    default:
      return "string";
  }
}

/** Freezes a plain value and everything in it. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(deepFreeze);
  }
  return value;
}
