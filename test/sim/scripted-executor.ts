/** Runs scripted agents as the real executor runs WebAssembly: same batch, same ring, same host calls. */
import { TURN_OVERHEAD_BYTES } from "../../src/storage/frame-codec.ts";
import { CaxtonError, ensureError } from "../../src/base/errors.ts";
import type { SeededRandom } from "../../src/base/random.ts";
import type { Environment } from "../../src/actors/environment.ts";
import { Handler } from "../../src/actors/partition/actor.ts";
import type { Actor, LiveMemory } from "../../src/actors/partition/actor.ts";
import type { ReplayBase } from "../../src/actors/partition/actor-image.ts";
import { PendingMessage } from "../../src/actors/partition/message.ts";
import { TURN_DONE, TURN_LEFT_OPEN, TURN_SKIPPED } from "../../src/actors/turn-batch.ts";
import type {
  ActorReplay,
  ReplayImport,
  ReplayResult,
  ReplayTurn,
  TurnBatch,
  TurnExecutor,
  UpgradeOutcome,
} from "../../src/actors/turn-batch.ts";
import { envelopeFlags } from "../../src/actors/wasm/envelope.ts";
import { TurnContext } from "../../src/actors/wasm/turn-context.ts";
import type { Coverage } from "./coverage.ts";
import { promise } from "./failure.ts";
import { Guest } from "./guest.ts";
import { ProcessCrash, newMemory, runScript } from "./script.ts";
import type { Memory } from "./script.ts";

const GUARDED_TURNS = 4;
const SLICE_ENDS = 0.01;
const PASSIVATES = 0.03;
const REFUSES_STATE = 0.3;

class ScriptedMemory implements LiveMemory {
  readonly memoryBytes = 65_536;
  memory: Memory;
  undo: Memory | undefined;

  constructor(memory: Memory) {
    this.memory = memory;
  }
}

interface Replay {
  readonly state: Map<string, Buffer>;
  readonly handlers: Map<number, Handler>;
  readonly idPrefix: Buffer;
}

export interface ScriptedPorts {
  readonly random: SeededRandom;
  readonly coverage: Coverage;
  readonly askChainMax: number;
  environment(id: number): Environment;
  /** A replay gave other effects: the actor has to be held. */
  diverged(actor: string): void;
  /** The actor's memory is about to go. */
  leaving(actor: Actor): void;
}

export class ScriptedExecutor implements TurnExecutor {
  private readonly ports: ScriptedPorts;
  private readonly turn: TurnContext;
  private readonly guest: Guest;
  private readonly batch: TurnBatch;
  private readonly replays = new Map<Actor, Replay>();

  constructor(batch: TurnBatch, ports: ScriptedPorts) {
    this.batch = batch;
    this.ports = ports;
    this.turn = new TurnContext(batch.ring, batch.logs, ports.askChainMax);
    this.guest = new Guest(this.turn, () => ports.random.nextUint32());
  }

  run(batch: TurnBatch): void {
    this.turn.replayState = undefined;
    if (this.ports.random.chance(PASSIVATES)) this.passivate(batch);
    for (let i = 0; i < batch.count; i++) {
      const actor = batch.actors[i]!;
      if (this.ports.random.chance(SLICE_ENDS)) {
        this.ports.coverage.hit("batch cut short");
        return;
      }
      if (batch.ring.roomBytes < actor.agent.environment.manifest.limits.effectsBytesMax) return;
      if (actor.stoppedInBatch === batch.number || batch.counters[i]!.roomBytes <= 0) {
        this.ports.coverage.hit("turn skipped");
        batch.status[i] = TURN_SKIPPED;
        batch.ringFrom[i] = batch.ringTo[i] = batch.ring.cursor;
      } else {
        this.runTurn(batch, i, actor);
      }
      batch.ran = i + 1;
    }
  }

  /** Memory is scarce: idle actors lose theirs and get it back when they are called. */
  private passivate(batch: TurnBatch): void {
    for (let i = 0; i < batch.count; i++) {
      for (const actor of batch.actors[i]!.agent.actors) {
        const mayLeave = actor.phase.kind === "idle" && !actor.agent.isEphemeral;
        if (!mayLeave || actor.live === undefined || this.ports.random.chance(0.5)) continue;
        if (actor.unwritten > 0) continue;
        this.ports.coverage.hit("actor passivated");
        this.ports.leaving(actor);
        this.drop(actor);
      }
    }
  }

  private runTurn(batch: TurnBatch, i: number, actor: Actor): void {
    const { turn } = this;
    const counter = batch.counters[i]!;
    const ringFrom = batch.ring.cursor;
    batch.ringFrom[i] = ringFrom;
    batch.sendNoBase[i] = counter.nextSendNo;
    turn.turnIndex = i;
    turn.nowMs = batch.nowMs;
    turn.random.reseed(batch.seeds[i]!);
    turn.idPrefix = counter.idPrefix;
    turn.sendNo = counter.nextSendNo;
    try {
      turn.begin(actor, batch.messages[i]!, batch.handlers[i], actor.agent.environment);
      const live = liveOf(actor);
      live.undo = undefined;
      if (actor.guardedTurns > 0) {
        actor.guardedTurns--;
        live.undo = structuredClone(live.memory);
      }
      const open = runScript(live.memory, this.guest);
      batch.ringTo[i] = batch.ring.cursor;
      batch.sendNoEnd[i] = turn.sendNo;
      counter.nextSendNo = turn.sendNo;
      counter.roomBytes -= TURN_OVERHEAD_BYTES + batch.ring.cursor - ringFrom;
      batch.status[i] = open ? TURN_LEFT_OPEN : TURN_DONE;
      if (open) actor.stoppedInBatch = batch.number;
    } catch (thrown) {
      if (thrown instanceof ProcessCrash) throw thrown;
      const code = thrown instanceof CaxtonError ? thrown.code : "AGENT_TRAPPED";
      batch.fail(i, { code, reason: ensureError(thrown).message });
      this.ports.coverage.hitNamed(`turn failed ${code}`);
    }
  }

  rollBack(actor: Actor): boolean {
    const undo = (actor.live as ScriptedMemory | undefined)?.undo;
    const { coverage } = this.ports;
    coverage.hit(undo === undefined ? "turn rolled back by replay" : "turn rolled back by image");
    actor.live = undo === undefined ? undefined : new ScriptedMemory(undo);
    actor.guardedTurns = GUARDED_TURNS;
    return undo !== undefined;
  }

  image(actor: Actor): Uint8Array | undefined {
    const live = actor.live as ScriptedMemory | undefined;
    return live === undefined ? undefined : Buffer.from(JSON.stringify(live.memory));
  }

  startReplay(actor: Actor, idPrefix: Buffer, base: ReplayBase | undefined): void {
    actor.live = undefined;
    const state = base?.state ?? new Map(actor.baseState);
    const handlers = base?.handlers ?? new Map<number, Handler>();
    this.replays.set(actor, { state, handlers, idPrefix });
    if (base === undefined) return;
    this.ports.coverage.hit("actor restored from an image");
    actor.live = new ScriptedMemory(JSON.parse(base.memory.toString()) as Memory);
  }

  replay(replays: readonly ActorReplay[]): ReplayResult[] {
    return replays.map((replay) => this.replayTurns(replay));
  }

  private replayTurns({ actor, turns }: ActorReplay): ReplayResult {
    for (const turn of turns) {
      const reason = this.replayTurn(actor, turn);
      if (reason === undefined) continue;
      this.ports.coverage.hit("replay diverged");
      this.ports.diverged(actor.address);
      return { kind: "failed", code: "REPLAY_DIVERGED", reason };
    }
    return { kind: "ok" };
  }

  /** Why the turn is not what it was, if it is not. */
  private replayTurn(actor: Actor, replayed: ReplayTurn): string | undefined {
    const { turn, batch } = this;
    const replay = this.replays.get(actor);
    promise(replay !== undefined, () => `${actor.address} is replayed without a start`);
    this.ports.coverage.hit("turn replayed");
    const { message: bytes, seq, rootSeq } = replayed;
    const message = new PendingMessage(
      seq,
      envelopeFlags(bytes, 0),
      bytes,
      0,
      bytes.length,
      -1,
      rootSeq,
    );
    batch.ring.cursor = 0;
    turn.nowMs = replayed.nowMs;
    turn.random.reseed(replayed.seed);
    turn.replayState = replay.state;
    turn.idPrefix = replay.idPrefix;
    turn.sendNo = replayed.sendNoBase;
    try {
      const handler = replay.handlers.get(rootSeq);
      turn.begin(actor, message, handler, this.ports.environment(replayed.environment));
      const open = runScript(liveOf(actor).memory, this.guest);
      const own = handler ?? new Handler(message);
      own.replied = turn.replied;
      if (open) replay.handlers.set(own.rootSeq, own.keep());
      else replay.handlers.delete(own.rootSeq);
      const digest = batch.ring.digest(0, batch.ring.cursor);
      const isSame = open === replayed.open && digest === replayed.digest;
      return isSame ? undefined : `the effects of message ${seq} differ`;
    } catch (thrown) {
      return `message ${seq} fails in replay: ${ensureError(thrown).message}`;
    } finally {
      turn.replayState = undefined;
    }
  }

  replayImport(actor: Actor, { state }: ReplayImport): ReplayResult {
    actor.live = new ScriptedMemory(imported(state));
    return { kind: "ok" };
  }

  upgrade(actor: Actor): UpgradeOutcome {
    const { random, coverage } = this.ports;
    const state = Buffer.from(JSON.stringify(liveOf(actor).memory));
    if (random.chance(REFUSES_STATE)) {
      coverage.hit("actor could not go over to another version");
      actor.live = undefined;
      return {
        kind: "failed",
        code: "UPGRADE_FAILED",
        reason: "the new version refused the state",
      };
    }
    actor.live = new ScriptedMemory(imported(state));
    return { kind: "done", state };
  }

  finishReplay(actor: Actor): void {
    this.replays.delete(actor);
  }

  drop(actor: Actor): void {
    actor.live = undefined;
  }

  sweep(): void {
    // Passivation is drawn with each batch.
  }
}

/** Handlers are gone with the old version. */
function imported(state: Buffer): Memory {
  return { ...(JSON.parse(state.toString()) as Memory), waiting: {}, open: {} };
}

function liveOf(actor: Actor): ScriptedMemory {
  const live = (actor.live as ScriptedMemory | undefined) ?? new ScriptedMemory(newMemory());
  actor.live = live;
  return live;
}
