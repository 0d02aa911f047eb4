/**
 * Brings messages into the kernel so that those to one actor stay in order.
 *
 * Owns the messages taken from the stream and not settled yet, in a lane for each subject.
 * 1. A lane has at most one batch under way; what comes meanwhile waits for it.
 * 2. What the kernel can't take now stays at the head of its lane and is tried again, later each time.
 * 3. In a batch no message is smaller than the one before it: where one is refused for its bytes, no later one
 *    gets in. A lane that was refused goes on message by message until one is taken.
 */
import type { Scheduler } from "../../base/scheduler.ts";

/** What became of a message: nothing is left to do, or it can't be taken now. */
export type SendOutcome = "settled" | "later";

export interface LanePorts<M> {
  send(message: M): Promise<SendOutcome>;
  readonly scheduler: Scheduler;
}

const BATCH_MESSAGES_MAX = 64;
const BATCH_BYTES_MAX = 128 * 1024;
/** Mailboxes are emptied fast; who stays full is asked less and less. */
const BACKOFF_MS_MIN = 10;
const BACKOFF_MS_MAX = 2000;

interface Held<M> {
  readonly message: M;
  readonly bytes: number;
  readonly settled: () => void;
}

interface Lane<M> {
  waiting: Held<M>[];
  isBusy: boolean;
  backoffMs: number;
  cancelRetry: () => void;
}

export class SendLanes<M> {
  private readonly ports: LanePorts<M>;
  private readonly lanes = new Map<string, Lane<M>>();
  private readonly batches = new Set<Promise<void>>();
  private stopped = false;

  constructor(ports: LanePorts<M>) {
    this.ports = ports;
  }

  /** `settled` is called when nothing is left to do for the message. */
  add(subject: string, message: M, bytes: number, settled: () => void): void {
    let lane = this.lanes.get(subject);
    if (lane === undefined) {
      lane = { waiting: [], isBusy: false, backoffMs: 0, cancelRetry: () => undefined };
      this.lanes.set(subject, lane);
    }
    lane.waiting.push({ message, bytes, settled });
    this.advance(subject, lane);
  }

  /** Nothing is sent any more; resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.stopped = true;
    for (const lane of this.lanes.values()) lane.cancelRetry();
    await Promise.all(this.batches);
  }

  private advance(subject: string, lane: Lane<M>): void {
    if (lane.isBusy || this.stopped) return;
    if (lane.waiting.length === 0) {
      this.lanes.delete(subject);
      return;
    }
    lane.isBusy = true;
    const batch = this.runBatch(subject, lane, takeBatch(lane));
    this.batches.add(batch);
    void batch.then(() => this.batches.delete(batch));
  }

  private async runBatch(subject: string, lane: Lane<M>, batch: Held<M>[]): Promise<void> {
    // All in one go: they travel to the kernel together.
    const outcomes = await Promise.all(batch.map(({ message }) => this.ports.send(message)));
    const left: Held<M>[] = [];
    outcomes.forEach((outcome, i) => {
      if (outcome === "settled") batch[i]!.settled();
      else left.push(batch[i]!);
    });
    lane.waiting = left.length === 0 ? lane.waiting : [...left, ...lane.waiting];
    if (left.length < batch.length) lane.backoffMs = 0;
    if (left.length > 0) {
      this.retryLater(subject, lane);
      return;
    }
    this.unblock(subject, lane);
  }

  private retryLater(subject: string, lane: Lane<M>): void {
    if (this.stopped) return;
    lane.backoffMs = Math.min(BACKOFF_MS_MAX, Math.max(BACKOFF_MS_MIN, lane.backoffMs * 2));
    lane.cancelRetry = this.ports.scheduler.after(lane.backoffMs, () => {
      this.unblock(subject, lane);
    });
  }

  private unblock(subject: string, lane: Lane<M>): void {
    lane.isBusy = false;
    this.advance(subject, lane);
  }
}

function takeBatch<M>(lane: Lane<M>): Held<M>[] {
  const { waiting } = lane;
  const countMax = lane.backoffMs > 0 ? 1 : BATCH_MESSAGES_MAX;
  let count = 0;
  let bytes = 0;
  for (const held of waiting) {
    if (count === countMax || (count > 0 && bytes + held.bytes > BATCH_BYTES_MAX)) break;
    if (count > 0 && held.bytes < waiting[count - 1]!.bytes) break;
    bytes += held.bytes;
    count++;
  }
  return waiting.splice(0, count);
}
