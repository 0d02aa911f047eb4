/** When code runs again. Comes in by this port, so that the simulation can drive it. */
export interface Scheduler {
  /** As soon as what waits already has run. */
  soon(run: () => void): void;
  /** Returns what cancels it. */
  after(delayMs: number, run: () => void): () => void;
}

export const systemScheduler: Scheduler = {
  soon: (run) => {
    setImmediate(run);
  },
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    return () => {
      clearTimeout(timer);
    };
  },
};
