/** The place of a worker thread: what stays when the thread is replaced. */
import { HANG_WORDS, type WatchedSeat } from "./hang-watchdog.ts";

export interface Seat extends WatchedSeat {
  readonly partitions: readonly number[];
  /** Rejects when the thread is to be replaced. */
  broken: PromiseWithResolvers<never>;
  /** Appends and blobs under way. */
  readonly appending: Set<Promise<void>>;
  readonly notReady: Set<number>;
  restarts: number;
}

/** Partitions are dealt out in turn. */
export function seatsOf(workers: number, partitions: number): Seat[] {
  const seats = Array.from({ length: workers }, (): number[] => []);
  for (let partition = 0; partition < partitions; partition++) {
    seats[partition % workers]!.push(partition);
  }
  return seats.map((own, index) => newSeat(index, own));
}

function newSeat(index: number, partitions: readonly number[]): Seat {
  return {
    index,
    partitions,
    shared: new SharedArrayBuffer(HANG_WORDS * 4),
    thread: undefined,
    broken: unbroken(),
    appending: new Set(),
    notReady: new Set(partitions),
    restarts: 0,
  };
}

/** Nobody may be waiting when it rejects. */
export function unbroken(): PromiseWithResolvers<never> {
  const broken = Promise.withResolvers<never>();
  broken.promise.catch(() => undefined);
  return broken;
}
