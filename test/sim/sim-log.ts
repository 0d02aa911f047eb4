/**
 * The store of a run: what a log may do to its writers, by chance.
 *
 * Owns the appends under way and whether the servers have a leader.
 * 1. The same frame sent again has the same bytes.
 * 2. An append with an expected sequence is written only when it fits.
 * 3. Without a leader nothing is written, and nobody is told what became of what was under way.
 */
import type { SeededRandom } from "../../src/base/random.ts";
import { readFrameHeader } from "../../src/storage/frame-codec.ts";
import type { AppendOutcome } from "../../src/storage/index.ts";
import type { Coverage } from "./coverage.ts";
import { promise } from "./failure.ts";
import { SimBlobs } from "./sim-blobs.ts";
import { SimFrames } from "./sim-frames.ts";
import type { Fault, Swarm } from "./swarm.ts";
import type { Timeline } from "./timeline.ts";

/** A process that writes. What a dead one had under way may still arrive, but nobody is told. */
export interface Writer {
  alive: boolean;
}

interface Append {
  readonly writer: Writer;
  readonly partition: number;
  readonly expected: number | null;
  readonly frame: Buffer;
  readonly done: (outcome: AppendOutcome) => void;
}

const FAULT_CHANCE = 0.15;
const ELECTION_MS_MIN = 4000;
const ELECTION_MS_MAX = 9000;
/** How long a request that nobody answers is waited for. */
const ANSWER_WAIT_MS = 5000;
/** Servers that acknowledge first and sync later lose up to so much. */
const TAIL_MS_MAX = 2000;

export interface SimLogPorts {
  readonly swarm: Swarm;
  readonly timeline: Timeline;
  readonly random: SeededRandom;
  readonly coverage: Coverage;
  durable(partition: number, sequence: number, frame: Buffer): void;
}

export class SimLog {
  readonly frames: SimFrames;
  readonly blobs: SimBlobs;
  private readonly ports: SimLogPorts;
  private readonly sent = new WeakMap<Writer, Map<string, Buffer>>();
  private pending = new Set<Append>();
  /** Faults end with the first phase. */
  private healed = false;
  private stalledUntilMs = 0;
  private leaderlessUntilMs = 0;
  /** Rises when the servers lose what they were asked. */
  generation = 0;

  constructor(ports: SimLogPorts) {
    this.ports = ports;
    const { swarm, timeline, coverage } = ports;
    const nowMs = (): number => timeline.nowMs;
    this.blobs = new SimBlobs(ports.random, coverage, nowMs);
    this.frames = new SimFrames({ ...ports, partitions: swarm.partitions, nowMs });
  }

  heal(): void {
    this.healed = true;
    this.stalledUntilMs = 0;
  }

  stall(forMs: number): void {
    this.stalledUntilMs = this.ports.timeline.nowMs + forMs;
  }

  /** The servers elect another leader. What the old one had not acknowledged, the new one has or has not. */
  loseLeader(): void {
    const { timeline, random, coverage } = this.ports;
    if (!this.hasLeader) return;
    const electionMs = ELECTION_MS_MIN + random.nextFloat() * (ELECTION_MS_MAX - ELECTION_MS_MIN);
    this.leaderlessUntilMs = timeline.nowMs + electionMs;
    this.frames.cutUnsynced("unacknowledged frames lost with the leader");
    coverage.hit("leader lost");
  }

  /** The power fails under servers that sync later, when all writers are gone: each stream ends a while ago. */
  loseTail(): void {
    const { random, timeline, swarm } = this.ports;
    const endMs = (): number => timeline.nowMs - random.nextFloat() ** 2 * TAIL_MS_MAX;
    this.pending.clear();
    this.generation++;
    for (let stream = 0; stream < swarm.streams; stream++) {
      const [atMs, undoesTrims] = [endMs(), random.chance(0.5)];
      for (let p = stream; p < swarm.partitions; p += swarm.streams) {
        this.frames.loseSince(p, atMs, undoesTrims);
      }
    }
    if (random.chance(0.5)) this.blobs.undoSince(endMs());
  }

  get hasLostTail(): boolean {
    return this.generation > 0;
  }

  get hasLeader(): boolean {
    return this.leaderlessMs === 0;
  }

  /** How long there will be none. */
  get leaderlessMs(): number {
    return Math.max(0, this.leaderlessUntilMs - this.ports.timeline.nowMs);
  }

  strikes(fault: Fault): boolean {
    const { swarm, random } = this.ports;
    return !this.healed && swarm.faults.has(fault) && random.chance(FAULT_CHANCE);
  }

  private delayMs(): number {
    const { random, swarm, timeline } = this.ports;
    const stall = Math.max(0, this.stalledUntilMs - timeline.nowMs);
    return stall + random.nextFloat() ** 2 * swarm.appendMs * 2;
  }

  append(
    writer: Writer,
    partition: number,
    expected: number | null,
    frame: Uint8Array,
    done: (outcome: AppendOutcome) => void,
  ): void {
    const copy = Buffer.from(frame);
    this.checkIdentity(writer, copy);
    const append: Append = { writer, partition, expected, frame: copy, done };
    this.pending.add(append);
    this.schedule(append);
  }

  /** The writer does not know what became of it, and will open the partition by another. */
  abandoned(writer: Writer, frame: Uint8Array): void {
    this.sent.get(writer)?.delete(nameOf(Buffer.from(frame)));
  }

  private checkIdentity(writer: Writer, frame: Buffer): void {
    const name = nameOf(frame);
    const sent = this.sent.get(writer) ?? new Map<string, Buffer>();
    this.sent.set(writer, sent);
    const before = sent.get(name);
    sent.set(name, frame);
    promise(
      before === undefined || before.equals(frame),
      () => `frame ${name} was sent again with other bytes`,
    );
  }

  private schedule(append: Append): void {
    const isStraggler = append.done === NOBODY;
    const leaderlessMs = isStraggler ? this.leaderlessMs : 0;
    this.ports.timeline.after(leaderlessMs + this.delayMs(), () => {
      if (!this.pending.has(append)) return;
      this.pending.delete(append);
      this.attempt(append);
    });
  }

  private attempt(append: Append): void {
    const { coverage, random } = this.ports;
    const { partition, expected } = append;
    const written = this.frames.written(partition);
    if (!this.hasLeader) {
      this.unanswered(append);
      return;
    }
    if (expected !== null && this.strikes("appendsRefused")) {
      const isStale = random.chance(0.5);
      coverage.hit(
        isStale ? "append refused with a stale sequence" : "append refused though it fitted",
      );
      const lastSequence = isStale ? random.below(written + 1) : written;
      this.tell(append, { kind: "refused", lastSequence });
      return;
    }
    if (this.strikes("appendsUnknown")) {
      const later = random.chance(0.5);
      coverage.hit(later ? "append unknown, written later" : "append unknown, not written");
      this.tell(append, { kind: "unknown", cause: "lost on the way" });
      if (later) this.straggle(append);
      return;
    }
    if (!this.add(append)) {
      this.tell(append, { kind: "refused", lastSequence: written });
      return;
    }
    this.acknowledge(append, written + 1);
  }

  /** Nobody is there, or it waits in vain; and it may be carried out when somebody is. */
  private unanswered(append: Append): void {
    const { timeline, random, coverage } = this.ports;
    coverage.hit("append without a leader");
    const waitMs = random.chance(0.5) ? 0 : Math.min(ANSWER_WAIT_MS, this.leaderlessMs);
    if (waitMs > 0 && random.chance(0.2)) this.straggle(append);
    timeline.after(waitMs, () => {
      this.tell(append, { kind: "unknown", cause: "no leader" });
    });
  }

  private straggle(append: Append): void {
    const straggler = { ...append, done: NOBODY };
    this.pending.add(straggler);
    this.schedule(straggler);
  }

  /** False when it does not fit, or is an epoch frame that comes too late and is void. */
  private add({ partition, expected, frame }: Append): boolean {
    const { coverage } = this.ports;
    const { frames } = this;
    const { epoch, frameNo } = readFrameHeader(frame);
    const written = frames.written(partition);
    const newestEpoch = frames.newestEpoch(partition);
    if (expected !== null) {
      if (expected !== written) return false;
      promise(epoch === newestEpoch, () => `epoch ${epoch} was appended behind another`);
    } else if (epoch <= newestEpoch) {
      coverage.hit("epoch frame void");
      return false;
    } else if (frameNo !== written + 1) coverage.hit("epoch frame misplaced");
    frames.push(partition, frame);
    return true;
  }

  private acknowledge({ writer, partition, frame, done }: Append, sequence: number): void {
    const { timeline, coverage } = this.ports;
    timeline.after(this.delayMs(), () => {
      // The power or the leader was lost in between.
      const isThere = this.frames.frame(partition, sequence) === frame;
      if (isThere) this.frames.syncTo(partition, sequence);
      if (!writer.alive) return;
      if (!isThere || !this.hasLeader || this.strikes("acksLost")) {
        coverage.hit("append ack lost");
        done({ kind: "unknown", cause: "no answer" });
        return;
      }
      coverage.hit("append acked");
      done({ kind: "acked", sequence });
    });
  }

  private tell({ writer, done }: Append, outcome: AppendOutcome): void {
    if (writer.alive) done(outcome);
  }

  /** A process is gone: what it had under way arrives or does not. With the power goes what is not synced. */
  writerDied(writer: Writer, withPower: boolean): void {
    const { random } = this.ports;
    for (const append of this.pending) {
      if (append.writer !== writer) continue;
      this.pending.delete(append);
      if (random.chance(0.3) && this.hasLeader) this.add(append);
    }
    if (withPower) this.frames.cutUnsynced("unsynced frames lost");
    else this.frames.syncAll();
  }
}

/** Who is told what became of a straggler. */
const NOBODY = (): void => undefined;

function nameOf(frame: Buffer): string {
  const { partition, epoch, frameNo } = readFrameHeader(frame);
  return `${partition}/${epoch}/${frameNo}`;
}
