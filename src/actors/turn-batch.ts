/**
 * A batch of turns: planned by partitions, run by an executor under one time limit, settled by the
 * partitions. Parallel arrays, reused, because there are hundreds of thousands of turns a second.
 *
 * 1. `ran` is published last: turns at and after it never happened.
 * 2. A turn's effects are the ring bytes [ringFrom, ringTo); a failed turn has none.
 */
import type { ErrorCode } from "../base/errors.ts";
import type { UpgradeFields } from "../storage/frame-codec.ts";
import type { Actor, Handler } from "./partition/actor.ts";
import type { ReplayBase } from "./partition/actor-image.ts";
import type { PendingMessage } from "./partition/message.ts";
import type { EffectRing } from "./wasm/effects.ts";

export const TURN_DONE = 0;
export const TURN_LEFT_OPEN = 1;
export const TURN_FAILED = 2;
/** Not run: its actor failed or opened a handler earlier in the batch. Its message stays. */
export const TURN_SKIPPED = 3;

const BATCH_TURNS_MAX = 4096;
const BATCH_TURNS_MIN = 64;

export interface TurnFailure {
  readonly code: ErrorCode;
  readonly reason: string;
}

export interface LogLine {
  readonly actor: Actor;
  readonly level: number;
  readonly text: string;
  /** Index of the turn in its batch. */
  readonly turn: number;
}

/** What turns of one partition draw from; advanced by the executor, corrected by the partition. */
export interface SendCounter {
  readonly idPrefix: Buffer;
  nextSendNo: number;
  /** Room in the partition's frame. The turn that overdraws it is carried over; none starts after it. */
  roomBytes: number;
}

export class TurnBatch {
  readonly ring: EffectRing;
  number = 0;
  nowMs = 0;
  count = 0;
  ran = 0;
  readonly actors: (Actor | undefined)[] = new Array<undefined>(BATCH_TURNS_MAX).fill(undefined);
  readonly messages: (PendingMessage | undefined)[] = new Array<undefined>(BATCH_TURNS_MAX).fill(
    undefined,
  );
  /** The open handler each turn continues. */
  readonly handlers: (Handler | undefined)[] = new Array<undefined>(BATCH_TURNS_MAX).fill(
    undefined,
  );
  readonly counters: SendCounter[] = [];
  readonly seeds = new Uint32Array(BATCH_TURNS_MAX);
  readonly status = new Uint8Array(BATCH_TURNS_MAX);
  readonly ringFrom = new Int32Array(BATCH_TURNS_MAX);
  readonly ringTo = new Int32Array(BATCH_TURNS_MAX);
  readonly sendNoBase = new Float64Array(BATCH_TURNS_MAX);
  readonly sendNoEnd = new Float64Array(BATCH_TURNS_MAX);
  /** What each turn cost. */
  readonly tookMs = new Float64Array(BATCH_TURNS_MAX);
  readonly fuel = new Float64Array(BATCH_TURNS_MAX);
  /** When turn `ran` began, by the monotonic clock. */
  ranAtMs = 0;
  /** By index of the failed turn. */
  readonly failures = new Map<number, TurnFailure>();
  readonly logs: LogLine[] = [];

  constructor(ring: EffectRing) {
    this.ring = ring;
  }

  /** As many turns as the last batches managed in their time: planning more is wasted. */
  private turnsMax = BATCH_TURNS_MAX;

  get isFull(): boolean {
    return this.count >= this.turnsMax;
  }

  start(nowMs: number): void {
    if (this.ran < this.count) this.turnsMax = Math.max(BATCH_TURNS_MIN, this.ran);
    else if (this.isFull) this.turnsMax = Math.min(BATCH_TURNS_MAX, this.turnsMax * 2);
    this.number++;
    this.nowMs = nowMs;
    this.count = 0;
    this.ran = 0;
    this.ring.cursor = 0;
    this.failures.clear();
    this.logs.length = 0;
  }

  plan(
    actor: Actor,
    message: PendingMessage,
    handler: Handler | undefined,
    seed: number,
    counter: SendCounter,
  ): void {
    const at = this.count++;
    this.handlers[at] = handler;
    this.counters[at] = counter;
    this.actors[at] = actor;
    this.messages[at] = message;
    this.seeds[at] = seed;
  }

  /** A turn that had effects has them no more. */
  fail(i: number, failure: TurnFailure): void {
    const from = this.ringFrom[i]!;
    const sendNo = this.sendNoBase[i]!;
    this.ring.cursor = from;
    this.ringTo[i] = from;
    this.sendNoEnd[i] = sendNo;
    this.counters[i]!.nextSendNo = sendNo;
    this.status[i] = TURN_FAILED;
    this.failures.set(i, failure);
    this.actors[i]!.stoppedInBatch = this.number;
  }
}

/** A turn to run again exactly as the log has it. */
export interface ReplayTurn {
  readonly environment: number;
  readonly nowMs: number;
  readonly seed: number;
  readonly sendNoBase: number;
  readonly digest: number;
  readonly open: boolean;
  readonly seq: number;
  readonly rootSeq: number;
  readonly message: Buffer;
}

export interface ActorReplay {
  readonly actor: Actor;
  readonly turns: readonly ReplayTurn[];
}

/** State to import again exactly as the log has it. */
export interface ReplayImport {
  readonly environment: number;
  readonly nowMs: number;
  readonly seed: number;
  readonly state: Buffer;
}

export type UpgradeOutcome =
  | { readonly kind: "done"; readonly state: Buffer }
  | { readonly kind: "failed"; readonly code: ErrorCode; readonly reason: string };

export type ReplayResult =
  | { readonly kind: "ok" }
  | {
      readonly kind: "failed";
      readonly code: "REPLAY_DIVERGED" | "SNAPSHOT_DAMAGED";
      readonly reason: string;
    };

/** Runs guest code. The real one runs WebAssembly, the simulation scripted agents. */
export interface TurnExecutor {
  run(batch: TurnBatch): void;
  /**
   * Live memory as bytes that `startReplay` takes, valid until the next call; undefined when only replay
   * brings it back.
   */
  image(actor: Actor): Uint8Array | undefined;
  /** Begins to rebuild an actor's memory, from an image when there is one: drops what it has. */
  startReplay(actor: Actor, idPrefix: Buffer, base: ReplayBase | undefined): void;
  /** Runs the next turns of actors again, each in order and after its startReplay; results in the order asked. */
  replay(replays: readonly ActorReplay[]): ReplayResult[];
  /** Gives the actor the memory that a version makes of exported state, as part of a replay. */
  replayImport(actor: Actor, imported: ReplayImport): ReplayResult;
  /**
   * Has the old version export the actor's state and the one of the fields import it: its memory is then
   * the new one's. When that fails it has none.
   */
  upgrade(actor: Actor, fields: UpgradeFields): UpgradeOutcome;
  /** Ends the replay: the actor is live again. */
  finishReplay(actor: Actor): void;
  /** After a failed turn: true when the memory of before it is back, false when it is gone. */
  rollBack(actor: Actor): boolean;
  /** Drops live memory. */
  drop(actor: Actor): void;
  /** Idle actors that were not used since the last sweep leave memory. */
  sweep(): void;
}
