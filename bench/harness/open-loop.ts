/** Load at a steady rate, whatever becomes of it: a late answer holds back nothing that is due. */
import { setTimeout as wait } from "node:timers/promises";

/** More means that the server doesn't keep up with the rate. */
const OUTSTANDING_MAX = 20_000;
const TICK_MS = 1;

export interface OpenLoopOptions {
  readonly perSecond: number;
  readonly seconds: number;
  readonly work: () => Promise<void>;
  /** Milliseconds since the start when the work was due, and those until it was done. */
  readonly done: (dueMs: number, latencyMs: number) => void;
}

/** Resolves when all of it is done. Fails with the first work that fails. */
export async function openLoop(options: OpenLoopOptions): Promise<void> {
  const { perSecond, seconds, work, done } = options;
  const total = Math.floor(perSecond * seconds);
  const start = performance.now();
  const outstanding = new Set<Promise<void>>();
  let failure: unknown;
  const launch = (dueMs: number): void => {
    const one = work().then(
      () => {
        done(dueMs, performance.now() - start - dueMs);
      },
      (error: unknown) => {
        failure ??= error;
      },
    );
    outstanding.add(one);
    void one.then(() => outstanding.delete(one));
  };
  const check = (): void => {
    if (failure !== undefined) throw failure as Error;
    if (outstanding.size > OUTSTANDING_MAX) throw new Error("the server falls behind the rate");
  };
  let launched = 0;
  while (launched < total) {
    const due = Math.min(total, Math.floor(((performance.now() - start) / 1000) * perSecond));
    for (; launched < due; launched++) launch((launched / perSecond) * 1000);
    check();
    await wait(TICK_MS);
  }
  await Promise.all(outstanding);
  check();
}
