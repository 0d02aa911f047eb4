/** Where a worker sits, and what the main thread knows of it. */
import type { FromWorker } from "../../src/actors/worker-protocol.ts";
import type { Coverage } from "./coverage.ts";
import type { SimWorker } from "./sim-worker.ts";
import type { Swarm } from "./swarm.ts";

export type Cursors = Extract<FromWorker, { kind: "recovered" }>["cursors"];

export interface Seat {
  readonly index: number;
  readonly partitions: readonly number[];
  readonly notReady: Set<number>;
  worker: SimWorker | undefined;
  appending: number;
  cursors: Map<number, Cursors>;
  opened: number;
}

/** A request to a worker that has no answer yet. */
export interface Asked {
  readonly seat: Seat;
  readonly done: (value: unknown) => void;
  readonly lost: (() => void) | undefined;
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
      cursors: new Map(),
      opened: 0,
    };
  });
}

/** What else is under way when the worker of this seat is killed. */
export function noteKill(coverage: Coverage, seats: readonly Seat[], seat: Seat): void {
  const recovering = seats.filter(({ worker, notReady }) => worker && notReady.size > 0);
  coverage.hit("worker killed");
  if (recovering.includes(seat)) coverage.hit("worker killed while it recovers");
  else if (recovering.length > 0) coverage.hit("worker killed while another one recovers");
}
