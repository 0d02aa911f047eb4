/**
 * Runs turns as WebAssembly on this thread.
 *
 * Owns the live instances of one worker and the context of the running turn.
 * 1. Guest code runs only inside `runLimited`, whose end skips catch and finally: nothing in there changes more
 *    than the batch, its ring and the instance.
 * 2. After a failed turn the instance is gone: the actor comes back from an image of before the turn, or
 *    by replay.
 */
import { TURN_OVERHEAD_BYTES } from "../../storage/frame-codec.ts";
import type { UpgradeFields } from "../../storage/frame-codec.ts";
import { invariant } from "../../base/assert.ts";
import type { Clock } from "../../base/clock.ts";
import { startOf } from "../environment.ts";
import type { Environment } from "../environment.ts";
import { Handler } from "../partition/actor.ts";
import type { Actor } from "../partition/actor.ts";
import type { ReplayBase } from "../partition/actor-image.ts";
import { PendingMessage } from "../partition/message.ts";
import { TURN_DONE, TURN_FAILED, TURN_LEFT_OPEN, TURN_SKIPPED } from "../turn-batch.ts";
import type {
  ActorReplay,
  ReplayImport,
  ReplayResult,
  ReplayTurn,
  SendCounter,
  TurnBatch,
  TurnExecutor,
  TurnFailure,
  UpgradeOutcome,
} from "../turn-batch.ts";
import { DOORS } from "./doors.ts";
import type { Door } from "./doors.ts";
import { encodeEnvelope, envelopeFlags } from "./envelope.ts";
import { explainFailure, tooLong } from "./explain-failure.ts";
import { HostTrap, TurnContext } from "./turn-context.ts";
import { WasmInstance } from "./instance.ts";
import { templateImage } from "./loaded-module.ts";
import type { LoadedModule } from "./loaded-module.ts";
import { DeltaEncoder, decodeDelta } from "./memory-delta.ts";
import { mapTrace } from "./quickjs/stack-trace.ts";
import { Residents } from "./residents.ts";
import { Spares } from "./spares.ts";
import { runLimited } from "./time-limit.ts";

/** A batch starts no further turn after this long, so that the time limit is almost all one turn's. */
const BATCH_SLICE_MS = 10;
/** Turns behind an undo image after a failure: a poison message then costs a copy, not a replay. */
const GUARDED_TURNS = 16;

const OK: ReplayResult = { kind: "ok" };

interface Replay {
  readonly state: Map<string, Buffer>;
  readonly handlers: Map<number, Handler>;
  readonly idPrefix: Buffer;
}

/** The shard, as its executor needs it. */
export interface ExecutorHost {
  environment(id: number): Environment;
  /** By what its instances start from, see startOf. */
  module(start: string): LoadedModule;
  /** The actor's memory is about to be dropped to make room. */
  leaving(actor: Actor): void;
}

export class WasmExecutor implements TurnExecutor {
  private readonly batch: TurnBatch;
  private readonly clock: Clock;
  private readonly source: ExecutorHost;
  private readonly turn: TurnContext;
  private readonly imports = new Map<Door, WebAssembly.Imports>();
  private readonly replays = new Map<Actor, Replay>();
  private readonly fuels = new Map<number, bigint>();
  private readonly residents: Residents;
  private readonly spares = new Spares();
  private readonly encoder = new DeltaEncoder();
  /** A guest section made instances that the list of residents lacks. */
  private hasNew = false;

  constructor(
    batch: TurnBatch,
    clock: Clock,
    source: ExecutorHost,
    limits: { readonly askChainMax: number; readonly residentsMax: number },
  ) {
    this.batch = batch;
    this.clock = clock;
    this.source = source;
    this.residents = new Residents(limits.residentsMax, {
      leaving: (actor) => {
        source.leaving(actor);
      },
      left: (actor, instance) => {
        this.spares.give(source.module(startOf(actor.environment)), instance);
      },
    });
    this.turn = new TurnContext(batch.ring, batch.logs, limits.askChainMax);
    for (const [door, kind] of Object.entries(DOORS)) {
      this.imports.set(door as Door, kind.imports(this.turn));
    }
  }

  run(batch: TurnBatch): void {
    invariant(batch === this.batch, "an executor runs its own batch");
    let timeoutMs = 0;
    let newcomers = 0;
    for (let i = 0; i < batch.count; i++) {
      const actor = batch.actors[i]!;
      const limit = actor.environment.manifest.limits.turnTimeoutMs;
      if (limit > timeoutMs) timeoutMs = limit;
      if (actor.live === undefined && actor !== batch.actors[i - 1]) newcomers++;
    }
    this.turn.replayState = undefined;
    this.residents.makeRoom(newcomers);
    const timedOut = runLimited(timeoutMs + BATCH_SLICE_MS, () => {
      this.runTurns(batch);
    });
    if (timedOut) this.failTimedOut(batch);
    this.mapTraces(batch);
    if (this.hasNew) for (let i = 0; i < batch.ran; i++) this.residents.add(batch.actors[i]!);
    this.hasNew = false;
  }

  /** Outside of the guest section: reading a source map takes its time. */
  private mapTraces(batch: TurnBatch): void {
    for (const [i, failure] of batch.failures) {
      const { environment } = batch.actors[i]!.agent;
      const { sourceMap } = this.source.module(startOf(environment));
      if (sourceMap === undefined) continue;
      batch.failures.set(i, { ...failure, reason: mapTrace(failure.reason, sourceMap) });
    }
  }

  /** Guest section. */
  private runTurns(batch: TurnBatch): void {
    const startMs = this.clock.monotonicMs();
    let nowMs = startMs;
    batch.ranAtMs = nowMs;
    for (let i = 0; i < batch.count; i++) {
      const actor = batch.actors[i]!;
      const { environment } = actor;
      const { limits } = environment.manifest;
      if (nowMs - startMs > BATCH_SLICE_MS) return;
      if (batch.ring.roomBytes < limits.effectsBytesMax) return;
      if (actor.stoppedInBatch === batch.number || batch.counters[i]!.roomBytes <= 0) {
        batch.status[i] = TURN_SKIPPED;
        batch.ringFrom[i] = batch.ringTo[i] = batch.ring.cursor;
        batch.ran = i + 1;
        continue;
      }
      this.runTurn(batch, i, actor, environment);
      const endMs = this.clock.monotonicMs();
      this.measure(batch, i, endMs);
      if (endMs - nowMs > limits.turnTimeoutMs && batch.status[i] !== TURN_FAILED) {
        batch.fail(i, tooLong(limits.turnTimeoutMs));
      }
      nowMs = endMs;
      batch.ranAtMs = nowMs;
      batch.ran = i + 1;
    }
  }

  private measure(batch: TurnBatch, i: number, endMs: number): void {
    const actor = batch.actors[i]!;
    const { fuelPerMessage } = actor.environment.manifest.limits;
    const left = (actor.live as WasmInstance | undefined)?.fuelLeft() ?? fuelPerMessage;
    batch.fuel[i] = fuelPerMessage - Math.max(0, left);
    batch.tookMs[i] = endMs - batch.ranAtMs;
  }

  private runTurn(batch: TurnBatch, i: number, actor: Actor, environment: Environment): void {
    const { turn } = this;
    const message = batch.messages[i]!;
    const counter = batch.counters[i]!;
    const ringFrom = batch.ring.cursor;
    batch.ringFrom[i] = ringFrom;
    batch.sendNoBase[i] = counter.nextSendNo;
    turn.turnIndex = i;
    try {
      const instance = (actor.live as WasmInstance | undefined) ?? this.create(actor, environment);
      turn.nowMs = batch.nowMs;
      turn.random.reseed(batch.seeds[i]!);
      turn.begin(actor, message, batch.handlers[i], environment);
      if (actor.guardedTurns > 0 || instance.undo !== undefined) {
        this.guard(actor, instance, environment);
      }
      const open = this.call(instance, message, counter, environment);
      batch.ringTo[i] = batch.ring.cursor;
      batch.sendNoEnd[i] = turn.sendNo;
      counter.nextSendNo = turn.sendNo;
      counter.roomBytes -= TURN_OVERHEAD_BYTES + batch.ring.cursor - ringFrom;
      batch.status[i] = open ? TURN_LEFT_OPEN : TURN_DONE;
      if (open) actor.stoppedInBatch = batch.number;
    } catch (thrown) {
      batch.fail(i, this.explain(actor, thrown));
    }
  }

  /** Gives the message to the guest; true when its handler stays open. */
  private call(
    instance: WasmInstance,
    message: PendingMessage,
    counter: SendCounter,
    environment: Environment,
  ): boolean {
    const { turn } = this;
    turn.memory = instance;
    instance.isUsed = true;
    turn.idPrefix = counter.idPrefix;
    turn.sendNo = counter.nextSendNo;
    instance.begin(this.fuel(environment));
    const result = instance.deliver(message.bytes, message.offset, message.length);
    if (result === 0) return false;
    if (result === 1) return true;
    throw new HostTrap("AGENT_FAILED", `the handler returned ${String(result)}`);
  }

  /** The time limit ended the turn at `ran`: like any failed turn, decided from outside. */
  private failTimedOut(batch: TurnBatch): void {
    const i = batch.ran;
    const actor = batch.actors[i]!;
    this.measure(batch, i, this.clock.monotonicMs());
    batch.fail(i, tooLong(actor.environment.manifest.limits.turnTimeoutMs));
    batch.ran = i + 1;
  }

  private explain(actor: Actor, thrown: unknown): TurnFailure {
    return explainFailure(thrown, actor.environment.manifest.limits, this.turn.memory);
  }

  private create(actor: Actor, environment: Environment): WasmInstance {
    const loaded = this.source.module(startOf(environment));
    this.hasNew = true;
    let instance = this.fresh(loaded);
    if (instance === undefined) {
      instance = this.instantiate(loaded);
      this.turn.beginInitialisation(instance);
      instance.initialize(this.fuel(environment));
    }
    actor.live = instance;
    return instance;
  }

  /** An initialised instance; undefined when its module has no template. Runs no guest code. */
  private fresh(loaded: LoadedModule): WasmInstance | undefined {
    const spare = this.spares.take(loaded);
    if (spare !== undefined || loaded.template === undefined) return spare;
    const instance = this.instantiate(loaded);
    instance.advance(loaded.template);
    return instance;
  }

  private instantiate(loaded: LoadedModule): WasmInstance {
    return new WasmInstance(loaded, this.imports.get(loaded.door)!);
  }

  private guard(actor: Actor, instance: WasmInstance, environment: Environment): void {
    instance.undo = undefined;
    if (actor.guardedTurns === 0) return;
    actor.guardedTurns--;
    const loaded = this.source.module(startOf(environment));
    if (!loaded.replayOnly) instance.undo = instance.image();
  }

  /** Puts an actor back to before its failed turn, when there is an image; else it needs a replay. */
  rollBack(actor: Actor): boolean {
    const instance = actor.live as WasmInstance | undefined;
    const image = instance?.undo;
    this.residents.drop(actor);
    actor.guardedTurns = GUARDED_TURNS;
    if (image === undefined) return false;
    const { environment } = actor;
    const loaded = this.source.module(startOf(environment));
    const timedOut = runLimited(environment.manifest.limits.turnTimeoutMs, () => {
      const restored = this.instantiate(loaded);
      restored.restore(image);
      actor.live = restored;
    });
    this.residents.add(actor);
    return !timedOut;
  }

  private fuel(environment: Environment): bigint {
    let fuel = this.fuels.get(environment.id);
    if (fuel === undefined) {
      fuel = BigInt(environment.manifest.limits.fuelPerMessage);
      this.fuels.set(environment.id, fuel);
    }
    return fuel;
  }

  image(actor: Actor): Uint8Array | undefined {
    const instance = actor.live as WasmInstance | undefined;
    const start = startOf(actor.environment);
    const loaded = this.source.module(start);
    if (instance === undefined || loaded.template === undefined) return undefined;
    const base = templateImage(loaded, loaded.template);
    return instance.encodeChanges(this.encoder, base, start);
  }

  startReplay(actor: Actor, idPrefix: Buffer, base: ReplayBase | undefined): void {
    this.residents.drop(actor);
    this.residents.makeRoom(1);
    this.replays.set(actor, {
      state: base?.state ?? new Map(actor.baseState),
      handlers: base?.handlers ?? new Map<number, Handler>(),
      idPrefix,
    });
    if (base === undefined) return;
    const start = startOf(this.source.environment(base.environment));
    const loaded = this.source.module(start);
    const delta = decodeDelta(base.memory, start);
    // No guest code runs here: a rewritten module has no start function.
    const instance = this.fresh(loaded)!;
    instance.advance(delta);
    actor.live = instance;
    this.residents.add(actor);
  }

  replay(replays: readonly ActorReplay[]): ReplayResult[] {
    const results: ReplayResult[] = [];
    while (results.length < replays.length) {
      const timeoutMs = replayTimeoutMs(replays.slice(results.length));
      const timedOut = runLimited(timeoutMs, () => {
        while (results.length < replays.length) {
          results.push(this.replayTurns(replays[results.length]!));
        }
      });
      if (timedOut) results.push(diverged("a turn does not end in replay"));
    }
    this.turn.replayState = undefined;
    for (const { actor } of replays) this.residents.add(actor);
    return results;
  }

  /** Guest section. */
  private replayTurns({ actor, turns }: ActorReplay): ReplayResult {
    for (const replayed of turns) {
      const result = this.replayTurn(actor, replayed);
      if (result.kind !== "ok") return result;
    }
    return OK;
  }

  private replayTurn(actor: Actor, replayed: ReplayTurn): ReplayResult {
    const { turn, batch } = this;
    const replay = this.replays.get(actor);
    invariant(replay !== undefined, "a replay has been started");
    const environment = this.source.environment(replayed.environment);
    const { message: bytes, seq, rootSeq } = replayed;
    const flags = envelopeFlags(bytes, 0);
    const message = new PendingMessage(seq, flags, bytes, 0, bytes.length, -1, rootSeq);
    const handler = replay.handlers.get(rootSeq);
    const from = (batch.ring.cursor = 0);
    turn.replayState = replay.state;
    try {
      const instance = (actor.live as WasmInstance | undefined) ?? this.create(actor, environment);
      turn.nowMs = replayed.nowMs;
      turn.random.reseed(replayed.seed);
      turn.begin(actor, message, handler, environment);
      const counter = {
        idPrefix: replay.idPrefix,
        nextSendNo: replayed.sendNoBase,
        roomBytes: 0,
      };
      const open = this.call(instance, message, counter, environment);
      const own = handler ?? new Handler(message);
      own.replied = turn.replied;
      if (open) replay.handlers.set(own.rootSeq, own.keep());
      else replay.handlers.delete(own.rootSeq);
      const digest = batch.ring.digest(from, batch.ring.cursor);
      if (open === replayed.open && digest === replayed.digest) return OK;
      return diverged(`the effects of message ${String(seq)} differ`);
    } catch (thrown) {
      const { code, reason } = this.explain(actor, thrown);
      return diverged(`message ${String(seq)} fails in replay: ${code}: ${reason}`);
    }
  }

  upgrade(actor: Actor, fields: UpgradeFields): UpgradeOutcome {
    const { turn } = this;
    turn.replayState = undefined;
    let state: Buffer | undefined;
    let failure: TurnFailure | undefined;
    const to = this.source.environment(fields.environment);
    const { turnTimeoutMs } = actor.environment.manifest.limits;
    const timedOut = runLimited(turnTimeoutMs + to.manifest.limits.turnTimeoutMs, () => {
      try {
        state = this.exportState(actor, fields);
        this.importState(actor, { ...fields, state });
      } catch (thrown) {
        failure = this.explain(actor, thrown);
      }
    });
    if (timedOut) failure = tooLong(turnTimeoutMs);
    if (failure === undefined && state !== undefined) {
      this.residents.add(actor);
      return { kind: "done", state };
    }
    this.residents.drop(actor);
    const why = failure === undefined ? "" : `${failure.code}: ${failure.reason}`;
    return { kind: "failed", code: "UPGRADE_FAILED", reason: why };
  }

  /** Guest section. */
  private exportState(actor: Actor, fields: UpgradeFields): Buffer {
    const instance = actor.live as WasmInstance;
    this.beginControlTurn(actor, instance, fields, actor.environment);
    const exported = instance.door.exportState();
    const most = actor.environment.manifest.limits.effectsBytesMax;
    if (exported === undefined) throw new HostTrap("UPGRADE_FAILED", "it exports no state");
    if (exported.length > most) {
      const bytes = String(exported.length);
      throw new HostTrap("EFFECTS_TOO_LARGE", `its state has ${bytes} of ${String(most)} bytes`);
    }
    this.checkNoEffects();
    return Buffer.from(exported);
  }

  /** Guest section. */
  private importState(actor: Actor, imported: ReplayImport): void {
    const environment = this.source.environment(imported.environment);
    this.residents.drop(actor);
    const instance = this.create(actor, environment);
    this.beginControlTurn(actor, instance, imported, environment);
    if (!instance.door.importState(imported.state)) {
      throw new HostTrap("UPGRADE_FAILED", "the new version does not take the state");
    }
    this.checkNoEffects();
  }

  private beginControlTurn(
    actor: Actor,
    instance: WasmInstance,
    { nowMs, seed }: { readonly nowMs: number; readonly seed: number },
    environment: Environment,
  ): void {
    const { turn, batch } = this;
    const { address } = actor;
    const fields = { flags: 0, id: "", sender: address, receiver: address };
    const own = encodeEnvelope({ ...fields, content: Buffer.alloc(0) });
    const message = new PendingMessage(0, 0, own, 0, own.length, -1, 0);
    batch.ring.cursor = 0;
    turn.nowMs = nowMs;
    turn.random.reseed(seed);
    turn.begin(actor, message, undefined, environment);
    turn.memory = instance;
    instance.isUsed = true;
    instance.begin(this.fuel(environment));
  }

  private checkNoEffects(): void {
    if (this.batch.ring.cursor === 0) return;
    throw new HostTrap("HOST_CALL_INVALID", "export and import of state may have no effects");
  }

  replayImport(actor: Actor, imported: ReplayImport): ReplayResult {
    this.turn.replayState = this.replays.get(actor)!.state;
    let result = OK;
    const { manifest } = this.source.environment(imported.environment);
    const timedOut = runLimited(10 * manifest.limits.turnTimeoutMs, () => {
      try {
        this.importState(actor, imported);
      } catch (thrown) {
        const { code, reason } = this.explain(actor, thrown);
        result = diverged(`the import of its state fails in replay: ${code}: ${reason}`);
      }
    });
    this.turn.replayState = undefined;
    return timedOut ? diverged("the import of its state does not end in replay") : result;
  }

  finishReplay(actor: Actor): void {
    this.replays.delete(actor);
  }

  drop(actor: Actor): void {
    this.residents.drop(actor);
  }

  sweep(): void {
    this.residents.sweep();
  }
}

/** Far more than what was done once can take. */
function replayTimeoutMs(replays: readonly ActorReplay[]): number {
  const limits = replays.map(({ actor, turns }) => {
    return turns.length + 10 * actor.environment.manifest.limits.turnTimeoutMs;
  });
  return Math.max(...limits);
}

function diverged(reason: string): ReplayResult {
  return { kind: "failed", code: "REPLAY_DIVERGED", reason };
}
