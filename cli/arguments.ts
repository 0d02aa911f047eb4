/** Texts of the command line as values. */
import { InvalidArgumentError } from "commander";

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

export function durationMs(text: string): number {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? [];
  const factor = unit === undefined ? undefined : UNIT_MS[unit];
  if (factor === undefined) throw new InvalidArgumentError("Write it like 500ms, 30s or 2m.");
  return Math.round(Number(amount) * factor);
}

export function positiveInteger(text: string): number {
  return integerFrom(1, text);
}

export function wholeNumber(text: string): number {
  return integerFrom(0, text);
}

function integerFrom(min: number, text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError(`It must be a whole number from ${min}.`);
  }
  return value;
}

/** `name` or `namespace/name`. */
export function agentName(text: string): { namespace: string; name: string } {
  const slash = text.indexOf("/");
  return slash < 0
    ? { namespace: "default", name: text }
    : { namespace: text.slice(0, slash), name: text.slice(slash + 1) };
}

export function collectText(value: string, earlier: readonly string[]): string[] {
  return [...earlier, value];
}

export function collectPair(
  text: string,
  earlier: Readonly<Record<string, string>>,
): Record<string, string> {
  const equals = text.indexOf("=");
  if (equals < 1) throw new InvalidArgumentError("Write it as key=value.");
  return { ...earlier, [text.slice(0, equals)]: text.slice(equals + 1) };
}
