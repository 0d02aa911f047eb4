/**
 * Committed sends to one other partition that it has not committed yet. Holds positions in the log, not
 * bytes: delivery is from memory when the frame commits, and from the log when that got lost.
 *
 * 1. Numbers are dense from 1 for the life of the log: the receiver's cursor accepts only the next.
 */
export interface OutboxEntry {
  readonly n: number;
  readonly position: number;
  readonly length: number;
}

const INITIAL = 64;

export class Outbox {
  /** A ring: entry n is at index n mod its size. */
  private positions = new Float64Array(INITIAL);
  private lengths = new Uint32Array(INITIAL);
  private acknowledgedN = 0;
  private lastN = 0;
  bytes = 0;

  get length(): number {
    return this.lastN - this.acknowledgedN;
  }

  /** Numbers a send. */
  add(position: number, length: number): number {
    if (this.length === this.positions.length) this.grow();
    const n = ++this.lastN;
    const at = n % this.positions.length;
    this.positions[at] = position;
    this.lengths[at] = length;
    this.bytes += length;
    return n;
  }

  private grow(): void {
    const { positions, lengths } = this;
    this.positions = new Float64Array(positions.length * 2);
    this.lengths = new Uint32Array(positions.length * 2);
    for (let n = this.firstN; n <= this.lastN; n++) {
      this.positions[n % this.positions.length] = positions[n % positions.length]!;
      this.lengths[n % this.positions.length] = lengths[n % positions.length]!;
    }
  }

  /** An outbox as a checkpoint has it. */
  static restored(acknowledgedN: number, entries: readonly Omit<OutboxEntry, "n">[]): Outbox {
    const outbox = new Outbox();
    outbox.acknowledgedN = acknowledgedN;
    outbox.lastN = acknowledgedN;
    for (const { position, length } of entries) outbox.add(position, length);
    return outbox;
  }

  /** The receiver has committed everything up to n. */
  acknowledge(n: number): void {
    const upTo = Math.min(n, this.lastN);
    while (this.acknowledgedN < upTo) {
      this.acknowledgedN++;
      this.bytes -= this.lengths[this.acknowledgedN % this.positions.length]!;
    }
  }

  /** Number of the newest send there ever was. */
  get newestN(): number {
    return this.lastN;
  }

  /** Number of the oldest entry, of the next one when there is none. */
  get firstN(): number {
    return this.acknowledgedN + 1;
  }

  /** Up to `max` entries from number n on. */
  from(n: number, max: number): OutboxEntry[] {
    const found: OutboxEntry[] = [];
    const first = Math.max(n, this.firstN);
    for (let at = first; at <= this.lastN && found.length < max; at++) {
      const index = at % this.positions.length;
      found.push({ n: at, position: this.positions[index]!, length: this.lengths[index]! });
    }
    return found;
  }
}
