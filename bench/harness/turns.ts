/** Waiting for turns by the server's own count of them. */
import { setTimeout as wait } from "node:timers/promises";
import type { Wire } from "./wire.ts";

const POLL_MS = 100;
const REST_TIMEOUT_MS = 300_000;

/** Turns of all partitions together. */
export async function turnsOf(wire: Wire): Promise<number> {
  const { partitions } = await wire.status();
  return partitions.reduce((sum, { turns }) => sum + turns, 0);
}

/** Resolves when all partitions together have done that many turns, or more. */
export async function turnsDone(wire: Wire, turns: number): Promise<void> {
  const giveUpAtMs = Date.now() + REST_TIMEOUT_MS;
  for (;;) {
    const done = await turnsOf(wire);
    if (done >= turns) return;
    if (Date.now() > giveUpAtMs) throw new Error(`only ${done} of ${turns} turns were done`);
    await wait(POLL_MS);
  }
}

/** Resolves with the number of turns when there are no more. */
export async function turnsAtRest(wire: Wire): Promise<number> {
  for (let before = -1; ;) {
    const done = await turnsOf(wire);
    if (done === before) return done;
    before = done;
    await wait(POLL_MS);
  }
}
