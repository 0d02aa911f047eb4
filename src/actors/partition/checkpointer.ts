/**
 * Takes a partition's state out of its log from time to time, so that the log can be trimmed and a start is
 * short: images of actors first, a few at a time, then everything else at a moment between two frames, then an
 * entry that names it.
 *
 * Owns the checkpoint under way and what the last one named.
 * 1. One checkpoint is under way at most; everything an entry names is durable before it is written.
 * 2. The log is trimmed, and blobs go, once the frame that names the new checkpoint is durable: never below
 *    what an image lacks or a receiver has not committed.
 */
import type { SnapshotConfig } from "../../base/config-schema.ts";
import type { Actor } from "./actor.ts";
import type { ActorImages, BlobPorts } from "./actor-images.ts";
import { writeCheckpoint } from "./checkpoint-writer.ts";
import type { FramePipeline } from "./frame-pipeline.ts";
import type { Pack } from "./image-packs.ts";
import type { PartitionState } from "./partition-state.ts";
import type { PartitionProcessor } from "./processor.ts";
import type { RecoveredPartition } from "./recovery.ts";
import type { Turns } from "./turns.ts";

/** Images taken in one step: an image costs tens of microseconds. */
const IMAGES_PER_STEP = 64;
/** Images copied out of packs that are mostly garbage, for each checkpoint. */
const COPIED_BYTES_MAX = 16 * 1024 * 1024;

type Phase =
  | { readonly kind: "idle" }
  | { readonly kind: "imaging"; readonly actors: readonly Actor[]; next: number; copying: number }
  /** Waits until the packs up to this number are durable. */
  | { readonly kind: "storing-images"; readonly newestPack: number }
  /** Waits until the state is what the sealed frames say. */
  | { readonly kind: "quiescing" }
  | { readonly kind: "storing-state" };

const IDLE: Phase = { kind: "idle" };

export interface CheckpointPorts extends BlobPorts {
  nowMs(): number;
  /** The log may go below this sequence, and these blobs. */
  trim(belowSequence: number, blobs: readonly string[]): void;
  /** Brings back the memory of an actor that nobody calls, so that an image of it can be taken. */
  warm(actor: Actor): void;
}

/** What the newest checkpoint named. */
interface Named {
  readonly sha256: string | undefined;
  /** With the bytes of each that are of use. */
  readonly packs: ReadonlyMap<Pack, number>;
}

export class Checkpointer {
  private readonly state: PartitionState;
  private readonly frames: FramePipeline;
  private readonly turns: Turns;
  private readonly images: ActorImages;
  private readonly config: SnapshotConfig;
  private readonly ports: CheckpointPorts;
  private phase: Phase = IDLE;
  private named: Named;
  private turnsBefore: number;
  private bytesBefore = 0;
  private sinceMs: number;
  /** Newest frame there was when the last checkpoint was named. */
  private frameBefore: number;
  private isDemanded = false;
  checkpoints = 0;

  constructor(
    { state, frames, turns }: PartitionProcessor,
    images: ActorImages,
    config: SnapshotConfig,
    recovered: RecoveredPartition,
    ports: CheckpointPorts,
  ) {
    this.state = state;
    this.frames = frames;
    this.turns = turns;
    this.images = images;
    this.config = config;
    this.ports = ports;
    this.named = { sha256: recovered.checkpointSha256, packs: new Map() };
    this.turnsBefore = recovered.turnsBefore;
    // Not all partitions of a node at the same moment.
    this.sinceMs = ports.nowMs() - (config.intervalMs * state.id) / state.partitions;
    // The epoch frame alone is no change.
    this.frameBefore = frames.frameNo;
  }

  /** Blobs that a retained checkpoint or an actor may need. */
  get blobs(): string[] {
    const packs = this.state.images.unused(new Map()).map(({ sha256 }) => sha256!);
    return this.named.sha256 === undefined ? packs : [this.named.sha256, ...packs];
  }

  /** A checkpoint is wanted for its own sake, though little or nothing has changed. */
  demand(): void {
    this.isDemanded = true;
  }

  /** When a checkpoint is due; Infinity while one is under way, whose steps follow from what it waits for. */
  get nextStepMs(): number {
    if (this.phase.kind !== "idle") return Infinity;
    if (this.isPressing) return 0;
    return this.hasChanged ? this.sinceMs + this.config.intervalMs : Infinity;
  }

  /** Another step has something to do at once. */
  get hasWork(): boolean {
    const { phase } = this;
    return phase.kind === "imaging" && phase.next < phase.actors.length;
  }

  private get hasChanged(): boolean {
    return this.frames.stateFrameNo > this.frameBefore;
  }

  private get isPressing(): boolean {
    const { turnsMax, logBytesMax } = this.config;
    return (
      this.isDemanded ||
      this.state.turns - this.turnsBefore >= turnsMax ||
      this.frames.sealedBytes - this.bytesBefore >= logBytesMax
    );
  }

  /** A bounded amount of work, between batches and just after frames were sealed. */
  step(): void {
    const { phase } = this;
    switch (phase.kind) {
      case "idle":
        if (this.nextStepMs <= this.ports.nowMs()) this.begin();
        return;
      case "imaging":
        this.takeImages(phase);
        return;
      case "storing-images":
        if (!this.state.images.isDurable(phase.newestPack)) return;
        this.phase = { kind: "quiescing" };
        this.turns.paused = true;
        this.capture();
        return;
      case "quiescing":
        this.capture();
        return;
      case "storing-state":
        return;
    }
  }

  private begin(): void {
    this.isDemanded = false;
    this.turnsBefore = this.state.turns;
    this.bytesBefore = this.frames.sealedBytes;
    this.sinceMs = this.ports.nowMs();
    this.frameBefore = this.frames.stateFrameNo;
    const garbage = this.mostlyGarbage();
    const dirty: Actor[] = [];
    const phase = { kind: "imaging" as const, actors: dirty, next: 0, copying: 0 };
    this.phase = phase;
    for (const actor of this.state.actors) {
      if (actor.agent.isEphemeral) continue;
      if (actor.isDirty) {
        if (actor.live !== undefined) dirty.push(actor);
        else this.ports.warm(actor);
      } else if (actor.image !== undefined && garbage.has(actor.image.ref.pack)) {
        phase.copying++;
        this.images.copy(actor, () => {
          phase.copying--;
        });
      }
    }
    this.takeImages(phase);
  }

  /** Packs of which little is still of use: it is copied, and they can go. */
  private mostlyGarbage(): ReadonlySet<Pack> {
    const chosen = new Set<Pack>();
    let bytes = 0;
    for (const [pack, usedBytes] of this.named.packs) {
      if (usedBytes * 2 > pack.length || bytes + usedBytes > COPIED_BYTES_MAX) continue;
      bytes += usedBytes;
      chosen.add(pack);
    }
    return chosen;
  }

  private takeImages(phase: Extract<Phase, { kind: "imaging" }>): void {
    const until = Math.min(phase.actors.length, phase.next + IMAGES_PER_STEP);
    while (phase.next < until) this.images.take(phase.actors[phase.next++]!);
    if (phase.next < phase.actors.length || phase.copying > 0) return;
    this.images.flush();
    this.phase = { kind: "storing-images", newestPack: this.state.images.newest };
    this.step();
  }

  /** Writes down the state when no entry is waiting for its frame. */
  private capture(): void {
    const { state, frames } = this;
    const log = frames.boundary;
    if (log === undefined) return;
    this.turns.paused = false;
    this.phase = { kind: "storing-state" };
    const { content, logFloor, packs, oldestTurn } = writeCheckpoint(state, log);
    state.logFloor = Math.max(state.logFloor, logFloor);
    state.actors.forgetTurns(oldestTurn);
    const unused = state.images.unused(packs);
    this.ports.store(content, (sha256) => {
      frames.checkpoint({ stateFrameNo: log.lastFrameNo, sha256 }, () => {
        this.done({ sha256, packs }, logFloor, unused);
      });
    });
  }

  private done(named: Named, logFloor: number, unused: readonly Pack[]): void {
    const blobs = unused.map(({ sha256 }) => sha256!);
    if (this.named.sha256 !== undefined) blobs.push(this.named.sha256);
    for (const pack of unused) this.state.images.drop(pack);
    this.named = named;
    this.checkpoints++;
    this.frameBefore = Math.max(this.frameBefore, this.frames.committedFrameNo);
    this.phase = IDLE;
    this.ports.trim(logFloor, blobs);
  }
}
