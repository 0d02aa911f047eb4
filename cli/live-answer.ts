/**
 * `--watch` of commands that look at something: asks again and again.
 *
 * Owns what was printed last.
 * 1. On a terminal the newest answer replaces the one before; elsewhere the lines that went are
 *    printed with `- `, those that came with `+ `, and documents whole.
 * 2. After the first answer a failure is shown and ends nothing.
 */
import { setTimeout as delay } from "node:timers/promises";
import { failureText } from "../src/base/failure-text.ts";
import { endingOf } from "./failure.ts";
import type { Output } from "./output-format.ts";
import { Printer } from "./output.ts";

const CLEAR = "\x1b[2J\x1b[H";

export async function watchAnswer(
  output: Output,
  intervalMs: number,
  work: (printer: Printer) => Promise<void>,
): Promise<never> {
  let last = await answerText(output, work);
  process.stdout.write(process.stdout.isTTY ? `${CLEAR}${last}` : last);
  for (;;) {
    await delay(intervalMs);
    const next = await answerText(output, work).catch((error: unknown) =>
      failureText(endingOf(error).failure),
    );
    if (next === last) continue;
    process.stdout.write(process.stdout.isTTY ? `${CLEAR}${next}` : changes(output, last, next));
    last = next;
  }
}

async function answerText(
  output: Output,
  work: (printer: Printer) => Promise<void>,
): Promise<string> {
  const chunks: Uint8Array[] = [];
  await work(new Printer(output, (chunk) => chunks.push(Buffer.from(chunk))));
  return Buffer.concat(chunks).toString();
}

function changes(output: Output, last: string, next: string): string {
  if (output.kind === "json") return next;
  if (output.kind === "yaml") return `---\n${next}`;
  const before = linesOf(last);
  const after = linesOf(next);
  return [
    ...[...before].filter(([line]) => !after.has(line)).map(([, text]) => `- ${text}\n`),
    ...[...after].filter(([line]) => !before.has(line)).map(([, text]) => `+ ${text}\n`),
  ].join("");
}

/** By what they say: the width of columns is no change. */
function linesOf(text: string): Map<string, string> {
  const lines = text.split("\n").filter((line) => line !== "");
  return new Map(lines.map((line) => [line.replace(/ +/g, " "), line]));
}
