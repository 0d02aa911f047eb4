import type { Context, Message } from "caxton";

const TOP = 10;
const PATIENCE = { timeoutMs: 24 * 3_600_000 };

let total = 0;
/** The addresses of the most frequent words' counters. */
let top: string[] = [];

/** What a splitter found: how many words, and the counters of the most frequent. */
interface Found {
  readonly words: number;
  readonly frequent: readonly string[];
}

/** `query-ref` asks for the summary as JSON; anything else adds to it. How often a word was seen its counter knows. */
export async function onMessage(msg: Message, ctx: Context): Promise<unknown> {
  const beganAtMs = ctx.now();
  const isQuery = msg.performative === "query-ref";
  const found: Found = isQuery ? { words: 0, frequent: [] } : msg.json<Found>();
  const candidates = [...new Set([...top, ...found.frequent])];
  const counted = await Promise.all(candidates.map((counter) => askCounter(ctx, counter)));
  const ranked = counted.sort(isAhead).slice(0, TOP);
  // What changes after the last await changes together.
  total += found.words;
  top = ranked.map(({ counter }) => counter);
  const summary = { total, top: ranked.map(({ word, count }) => ({ word, count })) };
  ctx.state.put("summary", summary);
  if (isQuery) return summary;
  ctx.state.put(`handled/${msg.id}`, { beganAtMs, endedAtMs: ctx.now() });
  return total;
}

interface Counted {
  readonly counter: string;
  readonly word: string;
  readonly count: number;
}

async function askCounter(ctx: Context, counter: string): Promise<Counted> {
  const reply = await ctx.ask(counter, "", { ...PATIENCE, performative: "query-ref" });
  return { counter, word: counter.split("/")[2]!, count: Number(reply.text) };
}

function isAhead(a: Counted, b: Counted): number {
  return b.count - a.count || (a.word < b.word ? -1 : 1);
}
