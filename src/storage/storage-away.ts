/**
 * Whether the servers that hold everything are away, and what that means for whoever asks for something.
 *
 * Owns the time since when they are away.
 * 1. For a while requests wait: most absences are short. After it, those that wait and new ones are refused.
 * 2. Back is back at once, and nothing has to be told to go on.
 */
import { CaxtonError } from "../base/errors.ts";

/** What waits longer has a client that should know. */
const LONG_MS = 5000;
const RETRY_AFTER_MS = 1000;

export class StorageAway {
  readonly #longMs: number;
  readonly #listeners: ((refusal: CaxtonError) => void)[] = [];
  #since: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(longMs = LONG_MS) {
    this.#longMs = longMs;
  }

  /** What is told when it has become long, each time. */
  onLong(listener: (refusal: CaxtonError) => void): void {
    this.#listeners.push(listener);
  }

  away(): void {
    if (this.#since !== undefined) return;
    this.#since = performance.now();
    this.#timer = setTimeout(() => {
      const refusal = this.#refusal();
      for (const listener of this.#listeners) listener(refusal);
    }, this.#longMs).unref();
  }

  back(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#since = undefined;
  }

  /** Undefined while they are there. */
  get reason(): string | undefined {
    return this.#since === undefined ? undefined : `nats away for ${this.#awayS()} s`;
  }

  /** What a request gets; undefined while it may wait. */
  get refusal(): CaxtonError | undefined {
    if (this.#since === undefined) return undefined;
    return performance.now() - this.#since < this.#longMs ? undefined : this.#refusal();
  }

  #refusal(): CaxtonError {
    const text = `The NATS servers have been away for ${this.#awayS()} s; what was sent meanwhile may be accepted or not.`;
    return new CaxtonError("STORAGE_UNAVAILABLE", text, { retryAfterMs: RETRY_AFTER_MS });
  }

  #awayS(): number {
    return Math.floor((performance.now() - (this.#since ?? performance.now())) / 1000);
  }
}
