/** Waiting for what can only be asked for. */
import { setTimeout as delay } from "node:timers/promises";
import { TestRunner } from "vitest";

const LOOK_MS = 20;

/** Resolves when it is so. Whoever waits in vain is ended by the test's own time limit, and it is said what for. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  const signal = TestRunner.getCurrentTest()?.context.signal;
  const inVain = (): void => {
    console.error(`Waited in vain until ${isSo.toString()}`);
  };
  signal?.addEventListener("abort", inVain);
  try {
    while (!(await isSo())) {
      signal?.throwIfAborted();
      await delay(LOOK_MS);
    }
  } finally {
    signal?.removeEventListener("abort", inVain);
  }
}
