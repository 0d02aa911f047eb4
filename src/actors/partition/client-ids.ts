/**
 * Ids that clients gave their messages: pending or the first reply, so that a repeat gets the first result.
 *
 * Part of the partition's state: every change follows from a frame entry.
 * 1. No id is forgotten before `windowMs` has passed since its acceptance, nor while its ask is pending.
 * 2. Bounded by count and bytes: when full, new ids are refused.
 */
export type ClientOutcome =
  | { readonly kind: "reply"; readonly envelope: Buffer }
  | { readonly kind: "failure"; readonly code: string; readonly reason: string };

export interface ClientEntry {
  readonly id: string;
  readonly acceptedAtMs: number;
  readonly frame: number;
  /** The sender waits for a reply. */
  readonly wantsReply: boolean;
  outcome: ClientOutcome | undefined;
}

const ENTRY_BYTES = 64;

export class ClientIds {
  /** In order of acceptance, but for those in `overdue` or `answered`, which are behind. */
  private readonly entries = new Map<string, ClientEntry>();
  /** Pending when their window had passed. */
  private readonly overdue = new Set<ClientEntry>();
  /** Those of them that have an outcome since: they can go. */
  private answered: ClientEntry[] = [];
  private newestMs = 0;
  private bytes = 0;
  private readonly countMax: number;
  private readonly bytesMax: number;
  private readonly windowMs: number;

  constructor(countMax: number, bytesMax: number, windowMs: number) {
    this.countMax = countMax;
    this.bytesMax = bytesMax;
    this.windowMs = windowMs;
  }

  get size(): number {
    return this.entries.size;
  }

  get(id: string): ClientEntry | undefined {
    return this.entries.get(id);
  }

  /** In the order they are to be restored in. */
  values(): IterableIterator<ClientEntry> {
    return this.entries.values();
  }

  /** Whether a new id fits, once what has expired is gone. */
  hasRoom(nowMs: number): boolean {
    this.expire(nowMs);
    return this.entries.size < this.countMax && this.bytes < this.bytesMax;
  }

  accept(id: string, nowMs: number, frame: number, wantsReply: boolean): void {
    // Recovery dates by frames, a little late: one that had run out when it came again is still here.
    const before = this.entries.get(id);
    if (before !== undefined) this.forget(before);
    if (this.entries.size >= this.countMax) this.forgetOldest();
    const entry = { id, acceptedAtMs: nowMs, frame, wantsReply, outcome: undefined };
    this.entries.set(id, entry);
    this.bytes += ENTRY_BYTES + id.length;
    // A checkpoint gives them back in the order they were in.
    if (nowMs < this.newestMs) this.overdue.add(entry);
    else this.newestMs = nowMs;
  }

  /** The first outcome stays. */
  complete(id: string, outcome: ClientOutcome): void {
    const entry = this.entries.get(id);
    if (entry === undefined || entry.outcome !== undefined) return;
    entry.outcome = outcome;
    this.bytes += outcomeBytes(outcome);
    if (this.overdue.delete(entry)) this.answered.push(entry);
  }

  /** In recovery: what had run out when this id found room has not quite yet. */
  private forgetOldest(): void {
    for (const entry of this.entries.values()) {
      if (isPending(entry)) continue;
      this.forget(entry);
      return;
    }
  }

  /** Whether an answered entry is gone by now, or goes now. */
  private goes(entry: ClientEntry, nowMs: number): boolean {
    if (this.entries.get(entry.id) !== entry) return true;
    if (entry.acceptedAtMs + this.windowMs > nowMs) return false;
    this.forget(entry);
    return true;
  }

  private forget(entry: ClientEntry): void {
    this.entries.delete(entry.id);
    this.overdue.delete(entry);
    this.bytes -= ENTRY_BYTES + entry.id.length;
    if (entry.outcome !== undefined) this.bytes -= outcomeBytes(entry.outcome);
  }

  /** One whose ask is pending goes to the back of the line. */
  expire(nowMs: number): void {
    if (this.answered.length > 0) this.answered = this.answered.filter((e) => !this.goes(e, nowMs));
    let looks = this.entries.size;
    for (const entry of this.entries.values()) {
      if (looks-- === 0 || entry.acceptedAtMs + this.windowMs > nowMs) return;
      if (isPending(entry)) {
        this.entries.delete(entry.id);
        this.entries.set(entry.id, entry);
        this.overdue.add(entry);
      } else {
        this.forget(entry);
      }
    }
  }
}

function isPending({ wantsReply, outcome }: ClientEntry): boolean {
  return wantsReply && outcome === undefined;
}

function outcomeBytes(outcome: ClientOutcome): number {
  return outcome.kind === "reply" ? outcome.envelope.length : outcome.reason.length;
}
