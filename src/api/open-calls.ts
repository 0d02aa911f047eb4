/**
 * Owns the calls that have no answer yet, so that a stopping node can answer them.
 * 1. A call leaves when it is answered or ended, whichever comes first; it is ended at most once.
 */

export interface OpenCall {
  /** Streams have no answer of their own to wait for. */
  readonly isStream: boolean;
  /** Answers the call because the node stops. */
  end(): void;
}

export class OpenCalls {
  readonly #calls = new Set<OpenCall>();

  add(call: OpenCall): void {
    this.#calls.add(call);
  }

  remove(call: OpenCall): void {
    this.#calls.delete(call);
  }

  /** Ends streams at once, and what has no answer yet after that time; the function returned calls that off. */
  drain(afterMs: number): () => void {
    for (const call of this.#calls) if (call.isStream) call.end();
    const timer = setTimeout(() => {
      for (const call of this.#calls) call.end();
    }, afterMs);
    return () => clearTimeout(timer);
  }
}
