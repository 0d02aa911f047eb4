import type { Context, Message } from "caxton";

const TOP = 10;
/** Longer than it can take. */
const PATIENCE = { timeoutMs: 24 * 3_600_000 };

let total = 0;
/** The most frequent words as the tally last heard of them, by the addresses of their counters. */
let top = new Map<string, number>();

/** What a splitter found: how many words, and the counters of the most frequent. */
interface Found {
  readonly words: number;
  readonly frequent: readonly string[];
}

/** Adds what a splitter found. `query-ref` adds nothing and gets the summary as JSON. */
export async function onMessage(msg: Message, ctx: Context): Promise<unknown> {
  const beganAtMs = ctx.now();
  if (msg.performative === "query-ref") {
    rank(await askCounters(ctx, [...top.keys()]));
    return summary();
  }
  const { words, frequent } = msg.json<Found>();
  const counts = await askCounters(ctx, frequent);
  // Other messages were handled meanwhile (reentrant): nothing above may be relied on but what was received.
  rank(counts);
  total += words;
  ctx.state.put("summary", summary());
  ctx.state.put(`handled/${msg.id}`, { beganAtMs, endedAtMs: ctx.now() });
  return total;
}

type Counted = readonly [counter: string, count: number];

function askCounters(ctx: Context, counters: readonly string[]): Promise<Counted[]> {
  const query = { ...PATIENCE, performative: "query-ref" };
  return Promise.all(
    counters.map(
      async (counter) => [counter, Number((await ctx.ask(counter, "", query)).text)] as const,
    ),
  );
}

function rank(counts: readonly Counted[]): void {
  for (const [counter, count] of counts) top.set(counter, Math.max(count, top.get(counter) ?? 0));
  const ranked = [...top].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
  top = new Map(ranked.slice(0, TOP));
}

function summary() {
  const words = [...top].map(([counter, count]) => ({ word: counter.split("/")[2]!, count }));
  return { total, top: words };
}
