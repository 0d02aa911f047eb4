/** Owns the answers that stream until somebody ends them, so that a stopping node can. */
import type { EventEmitter } from "node:events";

export class OpenStreams {
  readonly #ends = new Set<() => void>();

  /** `end` is called at most once, unless the stream closes before. */
  add(stream: EventEmitter, end: () => void): void {
    this.#ends.add(end);
    stream.once("close", () => this.#ends.delete(end));
  }

  endAll(): void {
    for (const end of this.#ends) end();
    this.#ends.clear();
  }
}
