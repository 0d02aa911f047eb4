/** Visits of counters in a row, one chain for each counter from `from` up to `to`: each goes on to the next one. */
export interface Visits {
  readonly from: number;
  readonly to: number;
  /** Of each chain. */
  readonly visits: number;
  /** In the ring that they go round. */
  readonly counters: number;
}
