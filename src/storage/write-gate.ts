/**
 * Whether the engine still writes. Shared by log, records and blobs: after one failed write or sync
 * nothing the disk or the servers say later can be trusted, so everything stops, for good, with the first reason.
 */
import { CaxtonError, ensureError } from "../base/errors.ts";

export class WriteGate {
  readonly #onFailed: (error: CaxtonError) => void;
  #refusal: CaxtonError | undefined;
  #failed = false;

  constructor(onFailed: (error: CaxtonError) => void) {
    this.#onFailed = onFailed;
  }

  /** Why writes are refused; undefined while they are not. */
  get refusal(): CaxtonError | undefined {
    return this.#refusal;
  }

  get failed(): boolean {
    return this.#failed;
  }

  /** Refuses every write from now on and returns the reason, which is the first one. */
  fail(cause: unknown): CaxtonError {
    if (this.#failed && this.#refusal !== undefined) return this.#refusal;
    const error = ensureError(cause);
    this.#failed = true;
    const text = `Storage stopped writing: ${error.message}`;
    const refusal = new CaxtonError("STORAGE_FAILED", text, { cause: error });
    this.#refusal = refusal;
    this.#onFailed(refusal);
    return refusal;
  }

  close(): void {
    this.#refusal ??= new CaxtonError("NOT_READY", "Storage is closed.");
  }

  check(): void {
    if (this.#refusal !== undefined) throw this.#refusal;
  }
}
