/** Where a worker sits, and what the main thread knows of it. */
import type { RecoveredMessage } from "./sim-recovery.ts";
import type { SimWorker } from "./sim-worker.ts";
import type { Swarm } from "./swarm.ts";

export interface Seat {
  readonly index: number;
  readonly partitions: readonly number[];
  readonly notReady: Set<number>;
  worker: SimWorker | undefined;
  appending: number;
  recovered: Map<number, RecoveredMessage>;
  opened: number;
}

export function seatsOf({ partitions, workers }: Swarm): Seat[] {
  return Array.from({ length: workers }, (_, index) => {
    const own = Array.from({ length: partitions }, (_p, p) => p).filter(
      (p) => p % workers === index,
    );
    return {
      index,
      partitions: own,
      notReady: new Set(own),
      worker: undefined,
      appending: 0,
      recovered: new Map(),
      opened: 0,
    };
  });
}
