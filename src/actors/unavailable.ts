/** Errors of partitions whose worker is gone: they come back by themselves. */
import { CaxtonError } from "../base/errors.ts";

const RETRY_AFTER_MS = 500;

export function unavailable(partition: number): CaxtonError {
  return withRetry(`Partition ${String(partition)} is being recovered.`);
}

export function lostWith(worker: number): CaxtonError {
  return withRetry(`Worker ${String(worker)} died; its partitions are being recovered.`);
}

/** Handles a rejection. */
export function insteadOfUnavailable<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (error instanceof CaxtonError && error.code === "PARTITION_UNAVAILABLE") return value;
    throw error;
  };
}

function withRetry(text: string): CaxtonError {
  return new CaxtonError("PARTITION_UNAVAILABLE", text, { retryAfterMs: RETRY_AFTER_MS });
}
