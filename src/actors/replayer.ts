/**
 * Rebuilds the memory of actors from their images and by running the turns after them again, a bounded number of
 * actors at a time.
 */
import type { FrameRange } from "../storage/index.ts";
import { TURN_OVERHEAD_BYTES } from "../storage/frame-codec.ts";
import { readTurnEntry, readUpgradeEntry } from "../storage/frame-entries.ts";
import { Queue } from "../base/queue.ts";
import type { Actor, ActorImage } from "./partition/actor.ts";
import { decodeActorImage } from "./partition/actor-image.ts";
import type { ReplayBase } from "./partition/actor-image.ts";
import type { ActorImages } from "./partition/actor-images.ts";
import type { PartitionProcessor } from "./partition/processor.ts";
import { offsetOf, sequenceOf } from "./partition/turn-index.ts";
import type { ReplayResult, ReplayTurn, TurnExecutor } from "./turn-batch.ts";

/** Turns read and run at once. */
const CHUNK_TURNS = 2048;
const CONCURRENT_ACTORS_MAX = 16;
const OK: ReplayResult = { kind: "ok" };

export interface ReplayPorts {
  read(partition: number, ranges: readonly FrameRange[], done: (pieces: Buffer[]) => void): void;
  readonly executor: TurnExecutor;
  monotonicMs(): number;
  /** An actor came back, or did not, after so long: there may be work. */
  finished(tookMs: number): void;
}

interface Job {
  readonly processor: PartitionProcessor;
  readonly images: ActorImages;
  readonly actor: Actor;
}

interface RunningJob extends Job {
  readonly startMs: number;
}

export class Replayer {
  private readonly ports: ReplayPorts;
  /** Actors that messages wait for. */
  private readonly urgent = new Queue<Job>();
  /** Actors with turns in the log that nobody has called since the start. */
  private readonly background = new Queue<Job>();
  /** Actors with a job that waits or runs: none has two. */
  private readonly busy = new Set<Actor>();
  private running = 0;

  constructor(ports: ReplayPorts) {
    this.ports = ports;
  }

  request(job: Job): void {
    if (this.busy.has(job.actor)) return;
    this.busy.add(job.actor);
    this.urgent.push(job);
    this.startMore();
  }

  /** Brings back actors that nobody calls when there is time. */
  addBackground(jobs: readonly Job[]): void {
    for (const job of jobs) this.background.push(job);
    this.startMore();
  }

  private startMore(): void {
    while (this.running < CONCURRENT_ACTORS_MAX) {
      const job = this.urgent.shift() ?? this.nextBackground();
      if (job === undefined) return;
      this.running++;
      this.start({ ...job, startMs: this.ports.monotonicMs() });
    }
  }

  private nextBackground(): Job | undefined {
    for (let job = this.background.shift(); job !== undefined; job = this.background.shift()) {
      if (this.busy.has(job.actor) || !job.processor.warm(job.actor)) continue;
      this.busy.add(job.actor);
      return job;
    }
    return undefined;
  }

  private start(job: RunningJob): void {
    const { actor, images } = job;
    const image = actor.newestImage;
    if (actor.phase.kind !== "recovering") this.finish(job, OK);
    else if (image === undefined) this.replay(job, undefined, actor.turns.numbers());
    else {
      images.read(image.ref, (bytes) => {
        // Reset or removed in between.
        if (actor.phase.kind !== "recovering" || !actor.hasMemory) {
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
    this.step(job, numbers, 0);
  }

  /** Runs the turns of these numbers from index `from` on, a chunk at a time. */
  private step(job: RunningJob, numbers: Float64Array, from: number): void {
    const { actor, processor } = job;
    const chunk = numbers.subarray(from, from + CHUNK_TURNS);
    if (chunk.length === 0) {
      this.finish(job, OK);
      return;
    }
    const { live } = actor;
    this.ports.read(processor.id, rangesOf(actor, chunk), (pieces) => {
      const isAsBefore = actor.live === live && actor.turns.newest === numbers.at(-1);
      // Held, reset or dropped in between: what was rebuilt so far is nobody's.
      if (actor.phase.kind !== "recovering" || !isAsBefore) {
        if (actor.live === live) this.ports.executor.drop(actor);
        this.start(job);
        return;
      }
      const result = this.run(actor, pieces);
      processor.turnsReplayed += chunk.length;
      if (result.kind === "ok") this.step(job, numbers, from + chunk.length);
      else this.finish(job, result);
    });
  }

  /** Entries and what they are about, alternating. Only the first can be an import. */
  private run(actor: Actor, pieces: readonly Buffer[]): ReplayResult {
    const { executor } = this.ports;
    const [first, state] = pieces;
    const upgrade = readUpgradeEntry(first!);
    if (upgrade !== undefined) {
      const result = executor.replayImport(actor, { ...upgrade, state: state! });
      if (result.kind !== "ok") return result;
    }
    const turns: ReplayTurn[] = [];
    for (let i = upgrade === undefined ? 0 : 2; i < pieces.length; i += 2) {
      turns.push(turnOf(pieces[i]!, pieces[i + 1]!));
    }
    return executor.replay(actor, turns);
  }

  private finish(job: RunningJob, result: ReplayResult): void {
    this.running--;
    this.busy.delete(job.actor);
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

/** Turn entry and message, alternating, in the order of the turns. */
function rangesOf(actor: Actor, numbers: Float64Array): FrameRange[] {
  const ranges: FrameRange[] = [];
  for (const number of numbers) {
    const { turn, message, messageBytes } = actor.turns.turn(number);
    ranges.push(rangeAt(turn, TURN_OVERHEAD_BYTES), rangeAt(message, messageBytes));
  }
  return ranges;
}

function rangeAt(position: number, length: number): FrameRange {
  return { sequence: sequenceOf(position), offset: offsetOf(position), length };
}

function turnOf(entry: Buffer, message: Buffer): ReplayTurn {
  const fields = readTurnEntry(entry);
  return { ...fields, seq: fields.consumedSeq, message };
}
