/** Waiting for storage servers that do not answer: what a node needs of them it needs however long that takes. */
import { setTimeout as wait } from "node:timers/promises";
import { CaxtonError } from "../base/errors.ts";

const RETRY_MS_MIN = 50;
const RETRY_MS_MAX = 1000;

export function isAway(error: unknown): boolean {
  return error instanceof CaxtonError && error.code === "STORAGE_UNAVAILABLE";
}

/** Tries again while storage is away; rejects with what it last said when the node stops. */
export async function untilAnswered<T>(
  operation: () => Promise<T>,
  isStopping: () => boolean,
): Promise<T> {
  for (let retryMs = RETRY_MS_MIN; ; retryMs = Math.min(retryMs * 2, RETRY_MS_MAX)) {
    try {
      return await operation();
    } catch (error) {
      if (!isAway(error) || isStopping()) throw error;
    }
    await wait(retryMs, undefined, { ref: false });
  }
}
