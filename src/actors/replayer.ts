/** Rebuilds the memory of actors by running their turns again, a bounded number of actors at a time. */
import type { FrameRange } from "../storage/index.ts";
import { TURN_OVERHEAD_BYTES, readTurnEntry } from "../storage/frame-codec.ts";
import type { Actor } from "./partition/actor.ts";
import type { PartitionProcessor } from "./partition/processor.ts";
import { offsetOf, sequenceOf } from "./partition/turn-index.ts";
import type { ReplayResult, ReplayTurn, TurnExecutor } from "./turn-batch.ts";

/** Turns read and run at once. */
const CHUNK_TURNS = 2048;
const CONCURRENT_ACTORS_MAX = 16;

export interface ReplayPorts {
  read(partition: number, ranges: readonly FrameRange[], done: (pieces: Buffer[]) => void): void;
  readonly executor: TurnExecutor;
  /** An actor came back, or did not: there may be work. */
  finished(): void;
}

interface Job {
  readonly processor: PartitionProcessor;
  readonly actor: Actor;
}

export class Replayer {
  private readonly ports: ReplayPorts;
  /** Actors that messages wait for. */
  private readonly urgent: Job[] = [];
  /** Actors with turns in the log that nobody has called since the start. */
  private background: Job[] = [];
  /** Actors with a job that waits or runs: none has two. */
  private readonly busy = new Set<Actor>();
  private running = 0;

  constructor(ports: ReplayPorts) {
    this.ports = ports;
  }

  request(processor: PartitionProcessor, actor: Actor): void {
    if (this.busy.has(actor)) return;
    this.busy.add(actor);
    this.urgent.push({ processor, actor });
    this.startMore();
  }

  /** Brings back everything else of a recovered partition when there is time. */
  addBackground(processor: PartitionProcessor): void {
    for (const actor of processor.state.actors) {
      if (actor.turns.length > 0) this.background.push({ processor, actor });
    }
    this.background.reverse();
    this.startMore();
  }

  private startMore(): void {
    while (this.running < CONCURRENT_ACTORS_MAX) {
      const job = this.urgent.shift() ?? this.nextBackground();
      if (job === undefined) return;
      this.running++;
      this.start(job);
    }
  }

  private nextBackground(): Job | undefined {
    // The others wait until they are called.
    if (!this.ports.executor.hasRoom) this.background = [];
    for (let job = this.background.pop(); job !== undefined; job = this.background.pop()) {
      if (this.busy.has(job.actor) || !job.processor.warm(job.actor)) continue;
      this.busy.add(job.actor);
      return job;
    }
    return undefined;
  }

  private start(job: Job): void {
    const { actor, processor } = job;
    if (actor.phase.kind === "recovering") {
      this.ports.executor.startReplay(actor, processor.state.idPrefix);
      this.step(job, actor.turns.numbers(), 0);
    } else {
      this.finish(job, { kind: "ok" });
    }
  }

  /** Runs the turns of these numbers from index `from` on, a chunk at a time. */
  private step(job: Job, numbers: Float64Array, from: number): void {
    const { actor, processor } = job;
    const chunk = numbers.subarray(from, from + CHUNK_TURNS);
    if (chunk.length === 0) {
      this.finish(job, { kind: "ok" });
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
      const turns: ReplayTurn[] = [];
      for (let i = 0; i < pieces.length; i += 2) turns.push(turnOf(pieces[i]!, pieces[i + 1]!));
      const result = this.ports.executor.replay(actor, turns);
      processor.turnsReplayed += turns.length;
      if (result.kind === "ok") this.step(job, numbers, from + chunk.length);
      else this.finish(job, result);
    });
  }

  private finish(job: Job, result: ReplayResult): void {
    this.running--;
    this.busy.delete(job.actor);
    this.ports.executor.finishReplay(job.actor);
    job.processor.replayed(job.actor, result);
    this.startMore();
    this.ports.finished();
  }
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
