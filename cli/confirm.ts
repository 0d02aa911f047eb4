/** Asks before what can't be undone; only a person at a terminal is asked. */
import { once } from "node:events";
import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import { Declined } from "./usage-error.ts";

interface Terminal {
  readonly input: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly output: NodeJS.WritableStream & { readonly isTTY?: boolean };
}

export interface YesOptions {
  readonly yes: boolean;
}

export function withYes(command: Command): Command {
  return command.option("-y, --yes", "don't ask first, also on a terminal", false);
}

/** Throws Declined unless the answer is yes. */
export async function confirm(
  question: string,
  { yes }: YesOptions,
  { input, output }: Terminal = { input: process.stdin, output: process.stderr },
): Promise<void> {
  if (yes || input.isTTY !== true || output.isTTY !== true) return;
  const terminal = createInterface({ input, output });
  const ended = once(terminal, "close").then(() => "");
  const answer = await Promise.race([terminal.question(`${question} [y/N] `), ended]);
  terminal.close();
  if (!/^y(es)?$/i.test(answer.trim())) throw new Declined("Nothing was changed.");
}
