/** Messages that could not be handled, kept for people to look at, retry or drop. Bounded: the oldest goes. */
export interface DeadLetterRecord {
  readonly seq: number;
  readonly envelope: Buffer;
  /** Where the log holds the envelope. */
  readonly logPosition: number;
  readonly code: string;
  readonly reason: string;
  readonly attempts: number;
  readonly atMs: number;
}

export class DeadLetterStore {
  private readonly records = new Map<number, DeadLetterRecord>();
  private bytes = 0;
  evicted = 0;
  private readonly countMax: number;
  private readonly bytesMax: number;

  constructor(countMax: number, bytesMax: number) {
    this.countMax = countMax;
    this.bytesMax = bytesMax;
  }

  get size(): number {
    return this.records.size;
  }

  get(seq: number): DeadLetterRecord | undefined {
    return this.records.get(seq);
  }

  add(record: DeadLetterRecord): void {
    this.records.set(record.seq, record);
    this.bytes += record.envelope.length;
    for (const oldest of this.records.values()) {
      if (this.records.size <= this.countMax && this.bytes <= this.bytesMax) return;
      this.remove(oldest.seq);
      this.evicted++;
    }
  }

  remove(seq: number): DeadLetterRecord | undefined {
    const record = this.records.get(seq);
    if (record === undefined) return undefined;
    this.records.delete(seq);
    this.bytes -= record.envelope.length;
    return record;
  }

  /** Oldest first. */
  values(): IterableIterator<DeadLetterRecord> {
    return this.records.values();
  }
}
