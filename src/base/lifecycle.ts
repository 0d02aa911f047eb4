/**
 * Starts a process in numbered stages and stops it in the reverse order.
 * 1. A stage that fails to start stops the ones before it.
 * 2. Stopping goes on when a stage fails to stop; the first failure is thrown at the end.
 * 3. stop() runs once; later calls get the same promise.
 */
import { ensureError } from "./errors.ts";
import type { Logger } from "./log.ts";

interface StartedStage {
  readonly number: number;
  readonly name: string;
  readonly stop: () => Promise<void> | void;
}

export class Lifecycle {
  readonly #log: Logger;
  readonly #started: StartedStage[] = [];
  #stopping: Promise<void> | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  async start<T>(
    name: string,
    begin: () => Promise<T> | T,
    end: (value: T) => Promise<void> | void,
  ): Promise<T> {
    const number = this.#started.length + 1;
    const startedAt = performance.now();
    try {
      const value = await begin();
      this.#started.push({ number, name, stop: () => end(value) });
      this.#log.info({ stage: number, name, durationMs: since(startedAt) }, "stage started");
      return value;
    } catch (error) {
      this.#log.error({ stage: number, name, err: ensureError(error) }, "stage failed to start");
      await this.stop().catch(() => undefined);
      throw error;
    }
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stopAll();
    return this.#stopping;
  }

  async #stopAll(): Promise<void> {
    let failure: Error | undefined;
    for (const stage of this.#started.reverse()) {
      const startedAt = performance.now();
      try {
        await stage.stop();
        const facts = { stage: stage.number, name: stage.name, durationMs: since(startedAt) };
        this.#log.info(facts, "stage stopped");
      } catch (error) {
        failure ??= ensureError(error);
        const facts = { stage: stage.number, name: stage.name, err: ensureError(error) };
        this.#log.error(facts, "stage failed to stop");
      }
    }
    if (failure !== undefined) throw failure;
  }
}

function since(startedAt: number): number {
  return Math.round((performance.now() - startedAt) * 10) / 10;
}
