/**
 * Actors that are to be brought back, in an order in which each frame of the log is read about once: those of
 * a partition one after the other while its frames lie in memory.
 *
 * Owns the actors that wait, partition by partition, and says which partition's frames are in memory.
 * 1. An actor is here, or in hand, once at most.
 * 2. Called actors come before the others. One whose frames are not in memory reads them itself as long as they are
 *    few of its partition's; else it waits for them, PATIENCE_MS while actors nobody calls use the room.
 * 3. Frames are dropped only while none of their partition's actors is in hand, or all of those are done with them.
 */
import { Queue } from "../base/queue.ts";
import type { FrameRange } from "../storage/index.ts";
import type { Actor } from "./partition/actor.ts";
import type { ActorImages } from "./partition/actor-images.ts";
import type { PartitionProcessor } from "./partition/processor.ts";
import { type IndexedTurn, sequenceOf } from "./partition/turn-index.ts";
import type { LoadPorts, TailFrames } from "./tail-frames.ts";

/** How long called actors wait for the room that actors nobody calls use. */
const PATIENCE_MS = 500;
/** Actors with half of their turns run, at most: each has memory already. */
const IN_HAND_MAX = 1024;

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
  readonly turn: IndexedTurn;
  goOn(): void;
}

interface Backlog {
  readonly processor: PartitionProcessor;
  /** They wait for the partition's frames. */
  readonly called: Queue<ReplayJob>;
  calledMs: number;
  /** They have turns in the log, and nobody has called them since the start. */
  readonly background: Map<Actor, ReplayJob>;
  /** Like these, but about to be called. */
  readonly deferred: Map<Actor, ReplayJob>;
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
  /** Those whose frames are there now. */
  private readonly goingOn = new Queue<Parked>();
  private readonly inHandMax: number;
  private inHand = 0;
  /** Partition whose frames are on their way. */
  private loading = -1;

  constructor(ports: QueuePorts, tail: TailFrames, inHandMax = IN_HAND_MAX) {
    this.ports = ports;
    this.tail = tail;
    this.inHandMax = Math.min(inHandMax, IN_HAND_MAX);
  }

  /** Messages wait for the actor. */
  call(job: ReplayJob): void {
    const { processor, actor } = job;
    if (this.busy.has(actor)) return;
    this.busy.add(actor);
    const backlog = this.backlog(processor);
    backlog.background.delete(actor);
    backlog.deferred.delete(actor);
    if (this.mayRead(processor.id, actor)) {
      this.direct.push(job);
      return;
    }
    if (backlog.called.length === 0) backlog.calledMs = this.ports.monotonicMs();
    backlog.called.push(job);
    this.loadMore();
  }

  addBackground(processor: PartitionProcessor, jobs: readonly ReplayJob[]): void {
    const backlog = this.backlog(processor);
    for (const job of jobs) backlog.background.set(job.actor, job);
    this.settle(backlog);
    this.loadMore();
  }

  /** The next to take in hand. */
  next(): ReplayJob | undefined {
    const job = this.inHand < this.inHandMax ? this.choose() : undefined;
    if (job === undefined) {
      if (this.loading < 0 && !this.moveOn()) this.loadMore();
    } else {
      this.inHand++;
      this.backlog(job.processor).inHand++;
    }
    return job;
  }

  private choose(): ReplayJob | undefined {
    return this.direct.shift() ?? this.nextCalled() ?? this.nextBackground();
  }

  /** The next that was parked and can go on. */
  nextParked(): Parked | undefined {
    return this.goingOn.shift();
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
      const job = this.claim(backlog);
      if (job !== undefined) return job;
      this.settle(backlog);
    }
    return undefined;
  }

  /** The first that nobody has called yet. */
  private claim({ background, deferred }: Backlog): ReplayJob | undefined {
    for (const [actor, job] of background) {
      background.delete(actor);
      if (this.busy.has(actor)) continue;
      if (isAboutToBeCalled(actor)) deferred.set(actor, job);
      else if (job.processor.warm(actor)) {
        this.busy.add(actor);
        return job;
      }
    }
    return undefined;
  }

  /** Looks again at those that were about to be called: frames stay for them. */
  review(): void {
    let some = false;
    for (const { background, deferred } of this.backlogs.values()) {
      for (const [actor, job] of deferred) background.set(actor, job);
      some ||= deferred.size > 0;
      deferred.clear();
    }
    if (some) this.ports.more();
  }

  done({ processor, actor }: ReplayJob): void {
    this.busy.delete(actor);
    const backlog = this.backlog(processor);
    backlog.inHand--;
    this.inHand--;
    this.settle(backlog);
    this.loadMore();
  }

  /** False: the frame is not to come. */
  tryPark({ processor }: ReplayJob, parked: Parked): boolean {
    if (!this.tail.comesLater(processor.id, sequenceOf(parked.turn.turn))) return false;
    this.backlog(processor).parked.push(parked);
    return true;
  }

  private backlog(processor: PartitionProcessor): Backlog {
    let backlog = this.backlogs.get(processor.id);
    if (backlog === undefined) {
      const called = new Queue<ReplayJob>();
      const uncalled = { background: new Map(), deferred: new Map() };
      backlog = { processor, called, ...uncalled, calledMs: 0, inHand: 0, parked: [] };
      this.backlogs.set(processor.id, backlog);
    }
    return backlog;
  }

  /** Lets go of frames of no more use. */
  private settle({ processor: { id }, called, background, deferred, inHand }: Backlog): void {
    if (inHand > 0) return;
    if (called.length + background.size + deferred.size === 0) {
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
    return this.tail.mayRead(id, actor);
  }

  /** Windows move on only when nobody is left to run in the one that is loaded. */
  private moveOn(): boolean {
    for (const backlog of this.backlogs.values()) {
      const { parked, inHand, processor } = backlog;
      if (parked.length === 0 || parked.length < inHand) continue;
      const { first, end } = this.tail.loaded(processor.id);
      // A message may be far before its turn; no frame is loaded for that more than twice.
      const oldest = Math.min(...parked.map(({ turn }) => sequenceOf(turn.message)));
      this.load(backlog, Math.max(oldest, Math.ceil((first + end) / 2)));
      return true;
    }
    return false;
  }

  private loadMore(): void {
    if (this.loading >= 0) return;
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
      for (const one of parked) this.goingOn.push(one);
      this.ports.more();
      this.loadMore();
    });
  }

  /** Those whose called actors wait, or another one when those in memory have none left to take in hand. */
  private nextToLoad(): Backlog | undefined {
    let other: Backlog | undefined;
    let isIdle = true;
    for (const backlog of this.backlogs.values()) {
      const { id } = backlog.processor;
      if (this.tail.isReady(id)) isIdle &&= backlog.background.size === 0;
      else if (!this.tail.hasWindow(id) && this.tail.fits(id)) {
        if (backlog.called.length > 0) return backlog;
        if (backlog.background.size > 0) other ??= backlog;
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

/** The partition has seen that its memory is wanted. */
function isAboutToBeCalled({ live, hasMemory, phase }: Actor): boolean {
  if (live !== undefined || !hasMemory) return false;
  return phase.kind === "ready" || phase.kind === "recovering";
}
