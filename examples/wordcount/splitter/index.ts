import type { Context, Message } from "caxton";
import { counterAddress, countWords, isLong } from "./words.ts";

const TALLY = "default/tally/default";
/** Of so many words the total is asked for; the tally hears of the most frequent of them. */
const ASKED = 20;
const REPORTED = 10;
/** What one turn sends is bounded; this is well below. */
const TOLD_IN_A_TURN = 1000;
/** Longer than it can take: a counter whose ask was given up may have counted all the same. */
const PATIENCE = { timeoutMs: 24 * 3_600_000 };

/**
 * A message is lower-case text. Every counter learns how often its word is in it; those of the frequent words
 * reply with their totals, and the tally gets the sum. What lies between two awaits is in ordinary variables.
 */
export async function onMessage(msg: Message, ctx: Context): Promise<string> {
  const beganAtMs = ctx.now();
  const counts = [...countWords(msg.text)].sort(([, a], [, b]) => b - a);
  await tell(ctx, counts.slice(ASKED));
  const totals = await Promise.all(
    counts.slice(0, ASKED).map(([word, count]) => add(ctx, word, count)),
  );
  totals.sort((a, b) => b.total - a.total);
  const frequent = totals.slice(0, REPORTED).map(({ counter }) => counter);
  const words = counts.reduce((sum, [, count]) => sum + count, 0);
  const reply = await ctx.ask(TALLY, { words, frequent }, PATIENCE);
  ctx.state.put(`handled/${msg.id}`, { beganAtMs, endedAtMs: ctx.now() });
  return `${words} here, ${reply.text} in all`;
}

async function tell(ctx: Context, counts: readonly [string, number][]): Promise<void> {
  for (const [i, [word, count]] of counts.entries()) {
    if (i > 0 && i % TOLD_IN_A_TURN === 0) await ctx.sleep(0);
    ctx.send(counterAddress(word), addition(word, count));
  }
}

async function add(
  ctx: Context,
  word: string,
  count: number,
): Promise<{ counter: string; total: number }> {
  const counter = counterAddress(word);
  const reply = await ctx.ask(counter, addition(word, count), PATIENCE);
  return { counter, total: Number(reply.text) };
}

/** A key that is made of a long word does not say which. */
function addition(word: string, count: number): string {
  return isLong(word) ? `${count} ${word}` : String(count);
}
