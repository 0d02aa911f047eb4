/** The values of `-o`. */
import { InvalidArgumentError } from "commander";

export interface PathColumn {
  readonly title: string;
  /** Names of fields and numbers of items, from the answer inwards. */
  readonly path: readonly string[];
}

export type Output =
  | { readonly kind: "table" | "wide" | "json" | "yaml" | "name" }
  | { readonly kind: "custom-columns"; readonly columns: readonly PathColumn[] };

const PLAIN = ["table", "wide", "json", "yaml", "name"] as const;
const CUSTOM = "custom-columns=";

export const OUTPUTS = [...PLAIN, `${CUSTOM}TITLE:path,...`].join(", ");
export const TABLE: Output = { kind: "table" };

export function outputFormat(text: string): Output {
  if (text.startsWith(CUSTOM)) {
    const columns = text.slice(CUSTOM.length).split(",").map(pathColumn);
    return { kind: "custom-columns", columns };
  }
  const kind = PLAIN.find((known) => known === text);
  if (kind !== undefined) return { kind };
  throw new InvalidArgumentError(`Allowed are ${OUTPUTS}.`);
}

/** `SIZE:.manifest.limits.stateBytesMax`, `FIRST:items[0].name`; the first dot may be left out. */
function pathColumn(text: string): PathColumn {
  const [, title, path] = /^([^:]+):([^:]+)$/.exec(text) ?? [];
  if (title === undefined || path === undefined) {
    throw new InvalidArgumentError(`Write a column as TITLE:path, e.g. NAME:name, not "${text}".`);
  }
  return { title, path: path.split(/[.[\]]+/).filter((part) => part !== "") };
}

/** Empty where the answer has nothing; what has parts comes as JSON. */
export function valueAt(answer: unknown, path: readonly string[]): string {
  let value: unknown = answer;
  for (const part of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return "";
    value = (value as Readonly<Record<string, unknown>>)[part];
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}
