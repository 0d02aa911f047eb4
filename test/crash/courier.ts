/** A TypeScript agent between clients and their actors: at any moment it is in the middle of an `await`. */

export const COURIER = "courier";

/** Each version takes over what the one before has carried. */
export function courierSource(version: number): Readonly<Record<string, string>> {
  return {
    "index.ts": `
import type { Context, Message } from "caxton";

const VERSION = ${String(version)};
let carried = 0;

/** \`<stream> <n> <sink>\`: brings it to the actor of the courier's own key and answers with what that says. */
export async function onMessage(message: Message, ctx: Context): Promise<string> {
  if (message.text === "carried") return String(carried);
  const answer = await ctx.ask(\`default/sequence/\${ctx.key}\`, message.text, { timeoutMs: 600_000 });
  await ctx.sleep(1);
  carried++;
  return answer.text;
}

export function exportState(): { carried: number; version: number } {
  return { carried, version: VERSION };
}

export function importState(state: { carried: number }): void {
  carried = state.carried;
}
`,
  };
}
