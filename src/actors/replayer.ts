/**
 * Rebuilds the memory of actors from their images and by running the turns after them again, a bounded number of
 * actors at a time.
 */
import type { FrameRange } from "../storage/index.ts";
import { TURN_OVERHEAD_BYTES } from "../storage/frame-codec.ts";
import { readTurnEntry, readUpgradeEntry } from "../storage/frame-entries.ts";
import { Queue } from "../base/queue.ts";
import type { Actor, ActorImage, LiveMemory } from "./partition/actor.ts";
import { decodeActorImage } from "./partition/actor-image.ts";
import type { ReplayBase } from "./partition/actor-image.ts";
import { offsetOf, sequenceOf } from "./partition/turn-index.ts";
import { ReplayQueue, type ReplayedPartition, type ReplayJob } from "./replay-queue.ts";
import { type FrameSpan, TailFrames } from "./tail-frames.ts";
import type { ActorReplay, ReplayResult, ReplayTurn, TurnExecutor } from "./turn-batch.ts";

/** Turns of one actor read and run at once, and about how many bytes that may be. */
const CHUNK_TURNS = 2048;
const CHUNK_BYTES = 4 * 1024 * 1024;
/** A step begins no further chunk after so many turns, so that other work gets in between. */
const STEP_TURNS = 2048;
/** Actors whose turns are read or run. */
const CONCURRENT_ACTORS_MAX = 64;
const OK: ReplayResult = { kind: "ok" };

export interface ReplayPorts {
  read(partition: number, ranges: readonly FrameRange[], done: (pieces: Buffer[]) => void): void;
  readonly executor: TurnExecutor;
  monotonicMs(): number;
  /** There is something for `step` to do. */
  wake(): void;
  /** An actor came back, or did not, after so long: there may be work. */
  finished(tookMs: number): void;
}

interface RunningJob extends ReplayJob {
  readonly startMs: number;
}

/** The next turns of an actor, read from the log. */
interface Chunk {
  readonly job: RunningJob;
  /** Memory they go on from. */
  readonly live: LiveMemory | undefined;
  /** All turns to run, and the index of the first after this chunk. */
  readonly numbers: Float64Array;
  readonly from: number;
  readonly to: number;
  /** Entries and what they are about, alternating. Only the first can be an import. */
  readonly pieces: readonly Buffer[];
}

export class Replayer {
  private readonly ports: ReplayPorts;
  private readonly queue: ReplayQueue;
  private readonly tail: TailFrames;
  private readonly chunks = new Queue<Chunk>();
  private running = 0;
  private isStarting = false;

  /** So many actors may have memory; the bytes are for frames that wait there for their actors. */
  constructor(ports: ReplayPorts, residentsMax: number, tailBytesMax?: number) {
    this.ports = ports;
    this.tail = new TailFrames(tailBytesMax);
    const inHandMax = Math.max(CONCURRENT_ACTORS_MAX, residentsMax);
    const more = (): void => {
      this.startMore();
    };
    this.queue = new ReplayQueue({ ...ports, more }, this.tail, inHandMax);
  }

  /** Recovery has met the next frame of a partition. */
  met(partition: number, sequence: number, frame: Buffer): void {
    this.tail.add(partition, sequence, frame);
  }

  request(job: ReplayJob): void {
    this.queue.call(job);
    this.startMore();
  }

  /** Brings back actors of a partition that nobody calls when there is time. */
  addBackground({ processor, images }: ReplayedPartition, actors: readonly Actor[]): void {
    const jobs = actors.map((actor) => ({ processor, images, actor }));
    this.queue.addBackground(processor, jobs);
    this.startMore();
  }

  get hasWork(): boolean {
    return this.chunks.length > 0;
  }

  private startMore(): void {
    // A job that ends at once has its successor started by the loop below it.
    if (this.isStarting) return;
    this.isStarting = true;
    while (this.running < CONCURRENT_ACTORS_MAX) {
      const parked = this.queue.nextParked();
      const job = parked === undefined ? this.queue.next() : undefined;
      if (parked === undefined && job === undefined) break;
      this.running++;
      parked?.goOn();
      if (job !== undefined) this.start({ ...job, startMs: this.ports.monotonicMs() });
    }
    this.isStarting = false;
  }

  private start(job: RunningJob): void {
    const { actor, images } = job;
    const image = actor.newestImage;
    if (actor.phase.kind !== "recovering") this.finish(job, OK);
    else if (image === undefined) this.replay(job, undefined, actor.turns.numbers());
    else {
      images.read(image.ref, (bytes) => {
        // Copied to another pack in between, and the old one has gone.
        const isElsewhere = bytes === undefined && actor.newestImage !== image;
        // Reset or removed in between.
        if (isElsewhere || actor.phase.kind !== "recovering" || !actor.hasMemory) {
          this.start(job);
          return;
        }
        const base = bytes === undefined ? undefined : decodeActorImage(bytes);
        if (base === undefined) this.finish(job, damaged(image));
        else this.replay(job, base, actor.turns.numbers(image.newestTurn));
      });
    }
  }

  private replay(job: RunningJob, base: ReplayBase | undefined, numbers: Float64Array): void {
    const { actor, processor } = job;
    this.ports.executor.startReplay(actor, processor.state.idPrefix, base);
    this.readChunk(job, numbers, 0);
  }

  /** Reads turns of these numbers from index `from` on, or waits until their frames are in memory. */
  private readChunk(job: RunningJob, numbers: Float64Array, from: number): void {
    const { actor, processor } = job;
    if (from === numbers.length) {
      this.finish(job, OK);
      return;
    }
    const { live } = actor;
    const turn = actor.turns.turn(numbers[from]!);
    const goOn = (): void => {
      if (this.isAsBefore({ job, live, numbers })) this.readChunk(job, numbers, from);
    };
    if (this.queue.tryPark(job, { turn, goOn })) {
      this.running--;
      this.startMore();
      return;
    }
    const { ranges, to } = rangesOf(actor, numbers, from, this.tail.loaded(processor.id));
    const add = (pieces: Buffer[]): void => {
      this.chunks.push({ job, live, numbers, from, to, pieces });
      this.ports.wake();
    };
    const pieces = this.tail.read(processor.id, ranges);
    if (pieces === undefined) this.ports.read(processor.id, ranges, add);
    else add(pieces);
  }

  /** Runs chunks that have been read: a bounded number of turns, all under one time limit. */
  step(): void {
    this.queue.review();
    const ready: Chunk[] = [];
    const replays: ActorReplay[] = [];
    for (let turns = 0; turns < STEP_TURNS;) {
      const chunk = this.chunks.shift();
      if (chunk === undefined) break;
      if (!this.isAsBefore(chunk)) continue;
      const { job, pieces, from, to } = chunk;
      const upgrade = readUpgradeEntry(pieces[0]!);
      const result =
        upgrade === undefined
          ? OK
          : this.ports.executor.replayImport(job.actor, { ...upgrade, state: pieces[1]! });
      if (result.kind === "ok") {
        ready.push(chunk);
        const turnPieces = upgrade === undefined ? pieces : pieces.slice(2);
        replays.push({ actor: job.actor, turns: turnsOf(turnPieces) });
        turns += to - from;
      } else this.finish(job, result);
    }
    if (ready.length === 0) return;
    const results = this.ports.executor.replay(replays);
    ready.forEach(({ job, numbers, from, to }, i) => {
      const result = results[i]!;
      job.processor.turnsReplayed += to - from;
      if (result.kind === "ok") this.readChunk(job, numbers, to);
      else this.finish(job, result);
    });
  }

  /** Otherwise the actor was held, reset or dropped in between: what was rebuilt so far is nobody's. */
  private isAsBefore({ job, live, numbers }: Pick<Chunk, "job" | "live" | "numbers">): boolean {
    const { actor } = job;
    // A reset leaves the number of the newest turn: the next one's follows it.
    const isLast = actor.hasMemory && actor.turns.newest === numbers.at(-1);
    if (actor.phase.kind === "recovering" && actor.live === live && isLast) return true;
    if (actor.live === live) this.ports.executor.drop(actor);
    this.start(job);
    return false;
  }

  private finish(job: RunningJob, result: ReplayResult): void {
    this.running--;
    this.queue.done(job);
    this.ports.executor.finishReplay(job.actor);
    job.processor.replayed(job.actor, result);
    this.startMore();
    this.ports.finished(this.ports.monotonicMs() - job.startMs);
  }
}

function damaged({ ref }: ActorImage): ReplayResult {
  const where = `${String(ref.length)} bytes at ${String(ref.offset)} of blob ${String(ref.pack.sha256)}`;
  return { kind: "failed", code: "SNAPSHOT_DAMAGED", reason: `its image is damaged: ${where}` };
}

/**
 * Turn entry and message of turns from index `from` on, alternating; `to` is the index of the first after them.
 * All of them are in the window, or before it, or after it.
 */
function rangesOf(
  { turns }: Actor,
  numbers: Float64Array,
  from: number,
  window: FrameSpan,
): { ranges: FrameRange[]; to: number } {
  const ranges: FrameRange[] = [];
  const most = Math.min(numbers.length, from + CHUNK_TURNS);
  let side: number | undefined;
  let to = from;
  for (let bytes = 0; to < most && bytes < CHUNK_BYTES; to++) {
    const { turn, message, messageBytes } = turns.turn(numbers[to]!);
    const own = sideOf(sequenceOf(turn), sequenceOf(message), window);
    if (own !== (side ??= own)) break;
    ranges.push(rangeAt(turn, TURN_OVERHEAD_BYTES), rangeAt(message, messageBytes));
    bytes += messageBytes;
  }
  return { ranges, to };
}

/** A message is never in a later frame than its turn. */
function sideOf(turn: number, message: number, { first, end }: FrameSpan): -1 | 0 | 1 {
  if (turn >= end) return 1;
  return message < first ? -1 : 0;
}

function rangeAt(position: number, length: number): FrameRange {
  return { sequence: sequenceOf(position), offset: offsetOf(position), length };
}

/** Of entries and messages, alternating. */
function turnsOf(pieces: readonly Buffer[]): ReplayTurn[] {
  const turns: ReplayTurn[] = [];
  for (let i = 0; i < pieces.length; i += 2) {
    const fields = readTurnEntry(pieces[i]!);
    turns.push({ ...fields, seq: fields.consumedSeq, message: pieces[i + 1]! });
  }
  return turns;
}
