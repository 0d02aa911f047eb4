/**
 * Looks from time to time whether the servers still have what they acknowledged. An append would tell, but a
 * partition that nothing is written to may have lost its newest frames as well, while others go on with what it sent.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Log } from "../port.ts";

type Looked = Pick<Log, "lastSequence">;

/** Begins a period from now; returns what ends it. */
export function watchTails(log: Looked, partitions: number, periodMs: number): () => void {
  const ending = new AbortController();
  void watch(log, partitions, { periodMs, signal: ending.signal });
  return () => ending.abort();
}

async function watch(
  log: Looked,
  partitions: number,
  { periodMs, signal }: { readonly periodMs: number; readonly signal: AbortSignal },
): Promise<void> {
  const all = Array.from({ length: partitions }, (_, partition) => partition);
  for (;;) {
    await delay(periodMs, undefined, { ref: false, signal }).catch(() => undefined);
    if (signal.aborted) return;
    // A lack that lasts stops all writing; servers that don't answer now are asked again.
    await Promise.allSettled(all.map((partition) => log.lastSequence(partition)));
  }
}
