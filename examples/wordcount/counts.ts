/** The counts of the actors, a count made without them, and where the two differ. */
import type { Api } from "./api.ts";

const READS_AT_ONCE = 64;

export type Counts = ReadonlyMap<string, number>;

/** Reads every counter's committed state; `read` hears of each. */
export async function countsOfActors(api: Api, read: (counters: number) => void): Promise<Counts> {
  const counts = new Map<string, number>();
  const addresses = api.actors("counter");
  const lane = async (): Promise<void> => {
    for await (const address of addresses) {
      const state = await api.state(address);
      // Words too long for a key are in the state.
      const word = state.get("word") ?? address.slice(address.lastIndexOf("/") + 1);
      counts.set(word, Number(state.get("count")));
      read(counts.size);
    }
  };
  await Promise.all(Array.from({ length: READS_AT_ONCE }, lane));
  return counts;
}

/** Straight from the bytes, word by word. */
export function countHere(bytes: Uint8Array): Counts {
  const counts = new Map<string, number>();
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  for (const [word] of text.toLowerCase().matchAll(/[a-z]+/g)) {
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return counts;
}

export function totalOf(counts: Counts): number {
  let total = 0;
  for (const count of counts.values()) total += count;
  return total;
}

/** The most frequent first, then by the alphabet. */
export function ranked(counts: Counts): [string, number][] {
  return [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
}

/** One line per word that was not counted as it is in the text. */
export function differences(found: Counts, expected: Counts): string[] {
  const lines: string[] = [];
  for (const [word, count] of expected) {
    const other = found.get(word) ?? 0;
    if (other !== count) lines.push(`${word}: ${String(other)}, in the text ${String(count)}`);
  }
  for (const [word, count] of found) {
    if (!expected.has(word)) lines.push(`${word}: ${String(count)}, in the text none`);
  }
  return lines;
}
