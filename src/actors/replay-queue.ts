/**
 * Actors that are to be brought back, in an order in which each frame of the log is read about once: those of
 * a partition one after the other while its frames lie in memory.
 *
 * Owns the actors that wait, partition by partition, and says which partition's frames are in memory.
 * 1. An actor is here, or in hand, once at most.
 * 2. Called actors come before the others. One whose frames are not in memory reads them itself until that has cost
 *    as much as reading all of its partition's; then it waits for them, PATIENCE_MS at most while others use the room.
 * 3. A partition's frames leave memory when none of its actors is in hand.
 */
import { Queue } from "../base/queue.ts";
import type { FrameRange } from "../storage/index.ts";
import type { Actor } from "./partition/actor.ts";
import type { ActorImages } from "./partition/actor-images.ts";
import type { PartitionProcessor } from "./partition/processor.ts";
import { sequenceOf } from "./partition/turn-index.ts";
import type { LoadPorts, TailFrames } from "./tail-frames.ts";

/** How long called actors wait for the room that actors nobody calls use. */
const PATIENCE_MS = 500;

export interface ReplayedPartition {
  readonly processor: PartitionProcessor;
  readonly images: ActorImages;
}

export interface ReplayJob extends ReplayedPartition {
  readonly actor: Actor;
}

export interface QueuePorts {
  read(partition: number, ranges: readonly FrameRange[], done: (pieces: Buffer[]) => void): void;
  monotonicMs(): number;
  /** `next` may have one. */
  more(): void;
}

/** One in hand whose next turn is in frames that are loaded later. */
interface Parked {
  readonly sequence: number;
  readonly goOn: () => void;
}

interface Backlog {
  readonly processor: PartitionProcessor;
  /** They wait for the partition's frames. */
  readonly called: Queue<ReplayJob>;
  calledMs: number;
  /** They have turns in the log, and nobody has called them since the start. */
  readonly background: Queue<ReplayJob>;
  inHand: number;
  parked: Parked[];
}

export class ReplayQueue {
  private readonly ports: QueuePorts;
  private readonly tail: TailFrames;
  /** Called actors that read frames themselves. */
  private readonly direct = new Queue<ReplayJob>();
  private readonly backlogs = new Map<number, Backlog>();
  private readonly busy = new Set<Actor>();
  /** Partition whose frames are on their way. */
  private loading = -1;

  constructor(ports: QueuePorts, tail: TailFrames) {
    this.ports = ports;
    this.tail = tail;
  }

  /** Messages wait for the actor. */
  call(job: ReplayJob): void {
    const { processor, actor } = job;
    if (this.busy.has(actor)) return;
    this.busy.add(actor);
    if (this.mayRead(processor.id, actor)) {
      this.direct.push(job);
      return;
    }
    const backlog = this.backlog(processor);
    if (backlog.called.length === 0) backlog.calledMs = this.ports.monotonicMs();
    backlog.called.push(job);
    this.loadMore();
  }

  addBackground(processor: PartitionProcessor, jobs: readonly ReplayJob[]): void {
    const backlog = this.backlog(processor);
    for (const job of jobs) backlog.background.push(job);
    this.settle(backlog);
    this.loadMore();
  }

  /** The next to take in hand. */
  next(): ReplayJob | undefined {
    const job = this.direct.shift() ?? this.nextCalled() ?? this.nextBackground();
    if (job !== undefined) this.backlog(job.processor).inHand++;
    return job;
  }

  private nextCalled(): ReplayJob | undefined {
    for (const [id, { called }] of this.backlogs) {
      if (called.length > 0 && this.isReady(id)) return called.shift();
    }
    return undefined;
  }

  private nextBackground(): ReplayJob | undefined {
    if (this.pressing() !== undefined) return undefined;
    for (const [id, backlog] of this.backlogs) {
      if (!this.isReady(id)) continue;
      for (
        let job = backlog.background.shift();
        job !== undefined;
        job = backlog.background.shift()
      ) {
        if (this.busy.has(job.actor) || !job.processor.warm(job.actor)) continue;
        this.busy.add(job.actor);
        return job;
      }
      this.settle(backlog);
    }
    this.loadMore();
    return undefined;
  }

  done({ processor, actor }: ReplayJob): void {
    this.busy.delete(actor);
    const backlog = this.backlog(processor);
    backlog.inHand--;
    this.settle(backlog);
    this.loadMore();
  }

  /** False: the frame is not to come. */
  tryPark({ processor }: ReplayJob, sequence: number, goOn: () => void): boolean {
    if (!this.tail.comesLater(processor.id, sequence)) return false;
    this.backlog(processor).parked.push({ sequence, goOn });
    this.loadMore();
    return true;
  }

  private backlog(processor: PartitionProcessor): Backlog {
    let backlog = this.backlogs.get(processor.id);
    if (backlog === undefined) {
      const queues = { called: new Queue<ReplayJob>(), background: new Queue<ReplayJob>() };
      backlog = { processor, ...queues, calledMs: 0, inHand: 0, parked: [] };
      this.backlogs.set(processor.id, backlog);
    }
    return backlog;
  }

  /** Lets go of frames of no more use. */
  private settle({ processor: { id }, called, background, inHand }: Backlog): void {
    if (inHand > 0) return;
    if (called.length + background.length === 0) {
      this.backlogs.delete(id);
      this.tail.forget(id);
    } else if (!this.tail.isReady(id)) this.tail.release(id);
  }

  // --- Frames -------------------------------------------------------------------------------------------

  private isReady(id: number): boolean {
    return id !== this.loading && this.tail.isReady(id);
  }

  private mayRead(id: number, actor: Actor): boolean {
    if (id === this.loading || this.tail.isReady(id)) return false;
    return this.tail.mayRead(id, framesOf(actor));
  }

  private loadMore(): void {
    if (this.loading >= 0) return;
    for (const backlog of this.backlogs.values()) {
      const { parked, inHand } = backlog;
      if (parked.length === 0 || parked.length < inHand) continue;
      const from = Math.min(...parked.map(({ sequence }) => sequence));
      this.load(backlog, from);
      return;
    }
    const pressing = this.pressing();
    if (pressing !== undefined) this.makeRoom(pressing.processor.id);
    const next = this.nextToLoad();
    if (next !== undefined) this.load(next);
  }

  private load(backlog: Backlog, from?: number): void {
    const { id, state } = backlog.processor;
    this.loading = id;
    const ports: LoadPorts = {
      floor: () => state.logFloor,
      read: (ranges, done) => {
        this.ports.read(id, ranges, done);
      },
    };
    this.tail.load(id, from, ports, () => {
      this.loading = -1;
      const { parked } = backlog;
      backlog.parked = [];
      for (const { goOn } of parked) goOn();
      this.ports.more();
    });
  }

  /** Those whose called actors wait, or another one when those in memory have none left to take in hand. */
  private nextToLoad(): Backlog | undefined {
    let other: Backlog | undefined;
    let isIdle = true;
    for (const backlog of this.backlogs.values()) {
      const { id } = backlog.processor;
      if (this.tail.isReady(id)) isIdle &&= backlog.background.length === 0;
      else if (!this.tail.hasWindow(id) && this.tail.fits(id)) {
        if (backlog.called.length > 0) return backlog;
        if (backlog.background.length > 0) other ??= backlog;
      }
    }
    return isIdle ? other : undefined;
  }

  /** The partition whose called actors have waited for too long. */
  private pressing(): Backlog | undefined {
    const sinceMs = this.ports.monotonicMs() - PATIENCE_MS;
    for (const backlog of this.backlogs.values()) {
      const { called, calledMs, processor } = backlog;
      const waits = called.length > 0 && !this.tail.isReady(processor.id);
      if (waits && calledMs <= sinceMs) return backlog;
    }
    return undefined;
  }

  /** At the cost of those nobody calls, those that would have come last first. */
  private makeRoom(id: number): void {
    if (this.tail.hasWindow(id)) return;
    for (const other of [...this.backlogs.values()].reverse()) {
      if (this.tail.fits(id)) return;
      if (other.inHand === 0 && other.called.length === 0) this.tail.release(other.processor.id);
    }
  }
}

/** Frames of the turns that the actor's image lacks, some of them more than once. */
function* framesOf({ turns, newestImage }: Actor): Generator<number> {
  for (const number of turns.numbers(newestImage?.newestTurn)) {
    const { turn, message } = turns.turn(number);
    yield sequenceOf(turn);
    if (sequenceOf(message) !== sequenceOf(turn)) yield sequenceOf(message);
  }
}
