/** What the kernel does, for whoever counts it. */
export interface KernelWatcher {
  /** An actor's memory was brought back in that time. */
  activated(tookMs: number): void;
  /** An actor went over to another version of its agent. */
  upgraded(): void;
  /** Frames of some partitions became durable together in that time. */
  committed(tookMs: number, frameBytes: readonly number[]): void;
  /** Images of actors, or the state of a partition, became durable. */
  stored(bytes: number): void;
  /** A checkpoint of a partition was named in its log. */
  checkpointed(): void;
  /** A worker died and another one has taken its place. */
  workerReplaced(): void;
  /** Log lines of agents could not be written to their files. */
  logLinesLost(lines: number): void;
}

export const NO_WATCHER: KernelWatcher = {
  activated: () => undefined,
  upgraded: () => undefined,
  committed: () => undefined,
  stored: () => undefined,
  checkpointed: () => undefined,
  workerReplaced: () => undefined,
  logLinesLost: () => undefined,
};
