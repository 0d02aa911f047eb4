/**
 * Messages at a modest rate, whatever becomes of those before: each is tried again until it is acknowledged.
 *
 * Owns the messages on their way.
 * 1. A message keeps its number over all its tries, so that the receiver can tell a second one.
 */
import { setTimeout as wait } from "node:timers/promises";

const RETRY_MS = 500;
const GIVE_UP_MS = 120_000;

/** Sends the message of that number once; rejects when it is not known to be stored. */
export type Attempt = (message: number) => Promise<void>;

export class SteadyLoad {
  readonly #attempt: Attempt;
  readonly #timer: NodeJS.Timeout;
  readonly #onTheWay = new Set<Promise<void>>();
  #watches: { readonly fromMs: number; readonly resolve: () => void }[] = [];
  #sent = 0;
  #failure: unknown;

  constructor(perSecond: number, attempt: Attempt) {
    this.#attempt = attempt;
    this.#timer = setInterval(() => this.#launch(), 1000 / perSecond);
  }

  /** Resolves when something is acknowledged whose try began after this call. */
  nextAck(): Promise<void> {
    return new Promise((resolve) => {
      this.#watches.push({ fromMs: performance.now(), resolve });
    });
  }

  /** Resolves with the number of messages when all are acknowledged. */
  async end(): Promise<number> {
    clearInterval(this.#timer);
    await Promise.all(this.#onTheWay);
    if (this.#failure !== undefined) throw this.#failure as Error;
    return this.#sent;
  }

  #launch(): void {
    const one = this.#untilAcknowledged(this.#sent++).catch((error: unknown) => {
      this.#failure ??= error;
    });
    this.#onTheWay.add(one);
    void one.then(() => this.#onTheWay.delete(one));
  }

  async #untilAcknowledged(message: number): Promise<void> {
    for (const giveUpAt = performance.now() + GIVE_UP_MS; ;) {
      const beganMs = performance.now();
      try {
        await this.#attempt(message);
        this.#acknowledged(beganMs);
        return;
      } catch (error) {
        if (performance.now() > giveUpAt) throw error;
      }
      await wait(RETRY_MS);
    }
  }

  #acknowledged(beganMs: number): void {
    this.#watches = this.#watches.filter(({ fromMs, resolve }) => {
      if (beganMs < fromMs) return true;
      resolve();
      return false;
    });
  }
}
