/** What travels to a worker together. Owns the batches that fill, one for each worker. */
export class WorkerBatches<T> {
  private readonly batches = new Map<number, T>();
  private readonly make: () => T;
  private readonly send: (worker: number, batch: T) => void;
  private readonly soon: (run: () => void) => void;

  /** `soon` says when a batch that was begun leaves. */
  constructor(
    make: () => T,
    send: (worker: number, batch: T) => void,
    soon: (run: () => void) => void,
  ) {
    this.make = make;
    this.send = send;
    this.soon = soon;
  }

  /** The batch that fills; it leaves by itself. */
  to(worker: number): T {
    let batch = this.batches.get(worker);
    if (batch === undefined) {
      batch = this.make();
      this.batches.set(worker, batch);
      this.soon(() => {
        this.flush(worker);
      });
    }
    return batch;
  }

  /** The worker is gone: nothing leaves for it. */
  drop(worker: number): void {
    this.batches.delete(worker);
  }

  private flush(worker: number): void {
    const batch = this.batches.get(worker);
    if (batch === undefined) return;
    this.batches.delete(worker);
    this.send(worker, batch);
  }
}
