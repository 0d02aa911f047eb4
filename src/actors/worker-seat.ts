/** The place of a worker thread: what stays when the thread is replaced. */
import { HANG_WORDS, type WatchedSeat } from "./hang-watchdog.ts";

export interface Seat extends WatchedSeat {
  readonly partitions: readonly number[];
  /** Rejects when the thread is to be replaced. */
  broken: PromiseWithResolvers<never>;
  /** Appends and blobs under way. */
  readonly appending: Set<Promise<void>>;
  readonly notReady: Set<number>;
  /** When its thread began, in ms of performance.now(). */
  bornMs: number;
  restarts: number;
  /** How many of the newest threads died young. */
  deathsInRow: number;
}

const RESPAWN_MS = 50;
const RESPAWN_MS_MAX = 30_000;
/** A thread that lived as long did not die of what the one before it died of. */
const STABLE_MS = 60_000;

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
    bornMs: 0,
    restarts: 0,
    deathsInRow: 0,
  };
}

/** The seat's thread has died; returns after how many ms the next one may begin. */
export function noteDeath(seat: Seat, nowMs: number): number {
  seat.restarts++;
  seat.deathsInRow = nowMs - seat.bornMs < STABLE_MS ? seat.deathsInRow + 1 : 1;
  return Math.min(RESPAWN_MS_MAX, RESPAWN_MS * 2 ** seat.deathsInRow);
}

/** Nobody may be waiting when it rejects. */
export function unbroken(): PromiseWithResolvers<never> {
  const broken = Promise.withResolvers<never>();
  broken.promise.catch(() => undefined);
  return broken;
}
