import type { Log } from "caxton";
import { host } from "./host.ts";

const LEVELS = ["debug", "info", "warn", "error"] as const;

/** Levels count from 0, debug. */
export function writer(level: number): (...values: unknown[]) => void {
  return (...values) => {
    host.log(level, values.map(show).join(" "));
  };
}

function show(value: unknown): string {
  switch (typeof value) {
    case "string":
      return value;
    case "number":
    case "boolean":
    case "bigint":
      return String(value);
    case "object":
      return value instanceof Error
        ? `${String(value)}\n${value.stack ?? ""}`.trimEnd()
        : jsonOf(value);
    default:
      return typeof value;
  }
}

function jsonOf(value: object | null): string {
  try {
    // Of an object whose toJSON gives nothing there is none, whatever the type says.
    const json: unknown = JSON.stringify(value);
    return typeof json === "string" ? json : typeof value;
  } catch {
    return "(an object without JSON)";
  }
}

export const log = Object.fromEntries(
  LEVELS.map((name, level) => [name, writer(level)]),
) as unknown as Log;
