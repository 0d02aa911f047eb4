/** Waiting for turns by the server's own count of them. */
import { setTimeout as wait } from "node:timers/promises";
import type { Wire } from "./wire.ts";

const POLL_MS = 100;
/** Without a single turn. */
const STANDSTILL_MS = 120_000;

/** Turns of all partitions together. */
export async function turnsOf(wire: Wire): Promise<number> {
  const { partitions } = await wire.status();
  return partitions.reduce((sum, { turns }) => sum + turns, 0);
}

/** Resolves when all partitions together have done that many turns, or more. */
export async function turnsDone(wire: Wire, turns: number): Promise<void> {
  let before = -1;
  let giveUpAtMs = Infinity;
  for (;;) {
    const done = await turnsOf(wire);
    if (done >= turns) return;
    if (Date.now() > giveUpAtMs) throw new Error(`only ${done} of ${turns} turns were done`);
    if (done > before) giveUpAtMs = Date.now() + STANDSTILL_MS;
    before = done;
    await wait(POLL_MS);
  }
}

/** Resolves with the number of turns when there are no more, and no message waits for one. */
export async function turnsAtRest(wire: Wire): Promise<number> {
  for (let before = -1; ;) {
    const { partitions } = await wire.status();
    const done = partitions.reduce((sum, { turns }) => sum + turns, 0);
    const waiting = partitions.reduce((sum, { pendingMessages }) => sum + pendingMessages, 0);
    if (done === before && waiting === 0) return done;
    before = done;
    await wait(POLL_MS);
  }
}
