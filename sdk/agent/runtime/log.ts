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
  if (typeof value === "string") return value;
  if (value instanceof Error) return `${String(value)}\n${value.stack ?? ""}`.trimEnd();
  if (typeof value === "bigint") return value.toString();
  try {
    // Of functions and symbols there is none, whatever the type says.
    const json: unknown = JSON.stringify(value);
    return typeof json === "string" ? json : typeof value;
  } catch {
    return "(an object without JSON)";
  }
}

export const log = Object.fromEntries(
  LEVELS.map((name, level) => [name, writer(level)]),
) as unknown as Log;
