/** A client of an agent that adds: what it was told is kept can be told from what the agent has. */
import { setTimeout as delay } from "node:timers/promises";
import { expect, onTestFinished } from "vitest";
import { bytes, type Wire, WireError } from "../../support/wire.ts";

export const ADDER = "default/adder/nats";
const RETRY_MS = 50;
const SOON = { timeout: 30_000, interval: 50 };

/** Sends ones, each until it is taken, as a client does. `stop` resolves with how many were acknowledged. */
export function keepAdding(wire: Wire, key = "nats") {
  const codes = new Set<unknown>();
  const ending = new AbortController();
  const over = new AbortController();
  onTestFinished(() => over.abort());
  const add = async (id: string): Promise<void> => {
    const message = { receiver: `default/adder/${key}`, id, contentType: "text/plain" };
    while (!over.signal.aborted) {
      try {
        await wire.send({ ...message, content: bytes("1") });
        return;
      } catch (error) {
        codes.add(error instanceof WireError ? error.detail?.code : error);
        await delay(RETRY_MS);
      }
    }
  };
  const adding = (async () => {
    let acked = 0;
    for (; !ending.signal.aborted && !over.signal.aborted; acked++) await add(`${key}-${acked}`);
    return acked;
  })();
  const stop = (): Promise<number> => {
    ending.abort();
    return adding;
  };
  return { codes, stop };
}

/** What the agent has added up. */
async function sum(wire: Wire): Promise<number> {
  return Number((await wire.askText(ADDER, "0")).split(" ")[0]);
}

/** Each of those that were acknowledged counts once. */
export async function expectSum(wire: Wire, wanted: number): Promise<void> {
  await expect.poll(() => sum(wire), SOON).toBe(wanted);
}
