/**
 * One actor on the real host calls, without a partition: a message goes in, effects come out as plain data.
 *
 * Owns the actor's memory, its key-value state and its handlers.
 * 1. A turn that fails leaves nothing: memory and state are as before.
 * 2. Messages, state and handlers change by `deliver` alone.
 */
import { hashAddressText } from "../../src/actors/address.ts";
import type { Environment } from "../../src/actors/environment.ts";
import { compileManifest } from "../../src/actors/manifest.ts";
import { Actor, Handler } from "../../src/actors/partition/actor.ts";
import { AgentShare } from "../../src/actors/partition/agent-share.ts";
import { PendingMessage } from "../../src/actors/partition/message.ts";
import type { LogLine } from "../../src/actors/turn-batch.ts";
import { DOORS } from "../../src/actors/wasm/doors.ts";
import {
  EFFECT_ASK,
  EFFECT_ASK_AT_DEADLINE,
  EFFECT_ASK_HEADER_BYTES,
  EFFECT_AT_KIND,
  EFFECT_AT_NUMBER,
  EFFECT_AT_SHORT,
  EFFECT_EMIT,
  EFFECT_KEYED_HEADER_BYTES,
  EFFECT_REPLY,
  EFFECT_SEND,
  EFFECT_SEND_HEADER_BYTES,
  EFFECT_STATE_DELETE,
  EFFECT_STATE_PUT,
  EFFECT_TIMER_AT_DUE,
  EFFECT_TIMER_AT_ID,
  EFFECT_TIMER_CANCEL,
  EFFECT_TIMER_HEADER_BYTES,
  EFFECT_TIMER_SET,
  EffectRing,
} from "../../src/actors/wasm/effects.ts";
import {
  AT_CORRELATION,
  decodeMessage,
  encodeEnvelope,
  type EnvelopeFields,
} from "../../src/actors/wasm/envelope.ts";
import { WasmInstance } from "../../src/actors/wasm/instance.ts";
import { templateImage, type LoadedModule } from "../../src/actors/wasm/loaded-module.ts";
import { decodeDelta, deltaOf, encodeDelta } from "../../src/actors/wasm/memory-delta.ts";
import type { MemoryImage } from "../../src/actors/wasm/memory-delta.ts";
import { messageIdPrefix } from "../../src/actors/wasm/message-id.ts";
import { TurnContext } from "../../src/actors/wasm/turn-context.ts";
import { loadConfig } from "../../src/base/config.ts";
import { CaxtonError } from "../../src/base/errors.ts";
import type { Message } from "../../src/actors/kernel.ts";

export type Effect =
  | { readonly kind: "send" | "reply"; readonly message: Message }
  | {
      readonly kind: "ask";
      readonly message: Message;
      readonly number: bigint;
      readonly timeoutMs: number;
    }
  | { readonly kind: "put" | "emit"; readonly key: Buffer; readonly value: Buffer }
  | { readonly kind: "delete"; readonly key: Buffer }
  | {
      readonly kind: "timer";
      readonly id: bigint;
      readonly delayMs: number;
      readonly content: Buffer;
    }
  | { readonly kind: "cancel"; readonly id: bigint };

export interface Turn {
  readonly isOpen: boolean;
  readonly effects: readonly Effect[];
  /** Level and text. */
  readonly logs: readonly (readonly [number, string])[];
  /** The effects as they go to the log. */
  readonly bytes: Buffer;
}

/** What a turn depends on besides the module. */
export interface SoloOptions {
  /** YAML of the manifest's `spec`. */
  readonly spec?: string;
  readonly address?: string;
}

export type SoloMessage = Partial<Omit<EnvelopeFields, "content">> & {
  readonly content?: Uint8Array | string;
};

/** An actor between two turns. */
export interface SavedActor {
  readonly image: MemoryImage;
  readonly state: ReadonlyMap<string, Buffer>;
  readonly handler: Handler | undefined;
  readonly lastSeq: number;
  readonly sendNo: number;
}

const RING_BYTES = 1024 * 1024;
const NO_HASH = "0".repeat(64);

export class Solo {
  nowMs = 1_700_000_000_000;
  seed = 1;
  private readonly loaded: LoadedModule;
  private readonly environment: Environment;
  private readonly actor: Actor;
  private readonly logs: LogLine[] = [];
  private readonly turn: TurnContext;
  private readonly imports: WebAssembly.Imports;
  private instance: WasmInstance;
  private handler: Handler | undefined;
  private lastSeq = 0;

  constructor(loaded: LoadedModule, options: SoloOptions = {}) {
    const text = `apiVersion: caxton/v1\nkind: Agent\nmetadata: {name: solo}\nspec: {${options.spec ?? ""}}`;
    const manifest = compileManifest(text, loadConfig({}).limits);
    const names = { id: 1, agent: "default/solo", version: "1", moduleSha256: "" };
    this.environment = { ...names, manifest, replayOnly: false, templateSha256: undefined };
    const address = options.address ?? "default/solo/one";
    this.actor = new Actor(
      address,
      hashAddressText(address),
      new AgentShare("default/solo", this.environment),
      { firstFrame: 0 } as never,
    );
    this.loaded = loaded;
    this.turn = new TurnContext(new EffectRing(RING_BYTES), this.logs, 8);
    this.turn.idPrefix = messageIdPrefix(1, 0);
    this.turn.sendNo = 1;
    this.imports = DOORS[loaded.door].imports(this.turn);
    this.instance = new WasmInstance(loaded, this.imports);
    if (loaded.template !== undefined) this.instance.advance(loaded.template);
    else {
      this.turn.beginInitialisation(this.instance);
      this.instance.initialize(this.fuel);
    }
  }

  private get fuel(): bigint {
    return BigInt(this.environment.manifest.limits.fuelPerMessage);
  }

  /** Throws what the agent fails with. */
  deliver(fields: SoloMessage): Turn {
    const envelope = this.encode(fields);
    const flags = fields.flags ?? 0;
    const seq = ++this.lastSeq;
    const rootSeq = this.handler?.rootSeq ?? 0;
    const message = new PendingMessage(seq, flags, envelope, 0, envelope.length, -1, rootSeq);
    const before = this.save();
    try {
      this.begin(message, this.handler);
      const result = this.instance.deliver(envelope, 0, envelope.length);
      if (result !== 0 && result !== 1) throw new Error(`the handler returned ${result}`);
      return this.finish(message, result === 1);
    } catch (error) {
      this.load(before, "image");
      throw error;
    }
  }

  private begin(message: PendingMessage, handler: Handler | undefined): void {
    const { turn, actor } = this;
    turn.ring.cursor = 0;
    this.logs.length = 0;
    turn.nowMs = this.nowMs;
    turn.random.reseed(this.seed);
    turn.replayState = undefined;
    turn.begin(actor, message, handler, this.environment);
    turn.memory = this.instance;
    actor.asksDraft = actor.timersDraft = actor.stateDraftBytes = 0;
    actor.stateDraft = undefined;
    this.instance.begin(this.fuel);
  }

  /** A turn of the host's own: of no message that the agent sees. */
  private beginControl(): void {
    const envelope = this.encode({});
    this.begin(new PendingMessage(0, 0, envelope, 0, envelope.length, -1, 0), undefined);
  }

  private finish(message: PendingMessage, isOpen: boolean): Turn {
    const { turn } = this;
    const own = this.handler ?? new Handler(message);
    own.replied = turn.replied;
    this.handler = isOpen ? own.keep() : undefined;
    const bytes = Buffer.from(turn.ring.bytes.subarray(0, turn.ring.cursor));
    const effects = decodeEffects(bytes, this.nowMs);
    for (const effect of effects) this.apply(effect);
    const logs = this.logs.map(({ level, text }) => [level, text] as const);
    return { isOpen, effects, logs, bytes };
  }

  private apply(effect: Effect): void {
    const { state } = this.actor;
    if (effect.kind === "put") state.set(effect.key.toString("latin1"), effect.value);
    if (effect.kind === "delete") state.delete(effect.key.toString("latin1"));
    if (effect.kind === "put" || effect.kind === "delete") this.countState();
  }

  private countState(): void {
    let bytes = 0;
    for (const [key, value] of this.actor.state) bytes += key.length + value.length;
    this.actor.stateBytes = bytes;
  }

  /** Memory and globals as they are. */
  image(): MemoryImage {
    return this.instance.image();
  }

  private restore(image: MemoryImage): void {
    this.instance = new WasmInstance(this.loaded, this.imports);
    this.instance.restore(image);
  }

  /** What another version may go on from. */
  exportState(): Buffer {
    this.beginControl();
    const state = this.instance.door.exportState();
    if (state === undefined) throw new Error("the agent exports no state");
    return Buffer.from(state);
  }

  /** False when the agent does not take it, whether it says so or fails. */
  importState(state: Buffer): boolean {
    this.beginControl();
    try {
      return this.instance.door.importState(state);
    } catch (error) {
      if (error instanceof CaxtonError && error.code === "AGENT_FAILED") return false;
      throw error;
    }
  }

  save(): SavedActor {
    const { lastSeq } = this;
    const state = new Map(this.actor.state);
    const handler = copyOf(this.handler);
    return { image: this.image(), state, handler, lastSeq, sendNo: this.turn.sendNo };
  }

  /** Goes on in a fresh instance from what was saved, by a whole image or as a node stores it: by a delta. */
  load(saved: SavedActor, form: "image" | "delta"): void {
    if (form === "image") this.restore(saved.image);
    else this.advance(saved.image);
    this.actor.state.clear();
    for (const [key, value] of saved.state) this.actor.state.set(key, value);
    this.countState();
    this.handler = copyOf(saved.handler);
    this.lastSeq = saved.lastSeq;
    this.turn.sendNo = saved.sendNo;
  }

  private advance({ pages, globals }: MemoryImage): void {
    const { template } = this.loaded;
    if (template === undefined) throw new Error("a replay-only module has no template");
    const delta = deltaOf(templateImage(this.loaded, template).pages, pages, globals);
    this.instance = new WasmInstance(this.loaded, this.imports);
    this.instance.advance(template);
    this.instance.advance(decodeDelta(encodeDelta(delta, NO_HASH), NO_HASH));
  }

  private encode(fields: SoloMessage): Buffer {
    return encodeEnvelope({
      flags: 0,
      id: "id-1",
      sender: "default/other/two",
      receiver: this.actor.address,
      contentType: "text/plain",
      ...fields,
      content: Buffer.from((fields.content ?? "") as string),
    });
  }
}

/** Later turns of it change only the one they are given. */
function copyOf(handler: Handler | undefined): Handler | undefined {
  return handler && Handler.restored(handler.root, handler.replied);
}

function decodeEffects(bytes: Buffer, nowMs: number): Effect[] {
  const effects: Effect[] = [];
  for (let at = 0; at < bytes.length; at += bytes.readUInt32LE(at)) {
    effects.push(decodeEffect(bytes, at, nowMs));
  }
  return effects;
}

function decodeEffect(bytes: Buffer, at: number, nowMs: number): Effect {
  const kind = bytes[at + EFFECT_AT_KIND]!;
  const short = bytes.readUInt16LE(at + EFFECT_AT_SHORT);
  const number = bytes.readUInt32LE(at + EFFECT_AT_NUMBER);
  const keyed = at + EFFECT_KEYED_HEADER_BYTES;
  const key = bytes.subarray(keyed, keyed + short);
  const value = bytes.subarray(keyed + short, keyed + short + number);
  switch (kind) {
    case EFFECT_SEND:
      return { kind: "send", message: decodeMessage(bytes, at + EFFECT_SEND_HEADER_BYTES) };
    case EFFECT_REPLY:
      return { kind: "reply", message: decodeMessage(bytes, at + EFFECT_SEND_HEADER_BYTES) };
    case EFFECT_ASK: {
      const envelope = at + EFFECT_ASK_HEADER_BYTES;
      return {
        kind: "ask",
        message: decodeMessage(bytes, envelope),
        number: bytes.readBigUInt64LE(envelope + AT_CORRELATION),
        timeoutMs: bytes.readDoubleLE(at + EFFECT_ASK_AT_DEADLINE) - nowMs,
      };
    }
    case EFFECT_STATE_PUT:
      return { kind: "put", key, value };
    case EFFECT_STATE_DELETE:
      return { kind: "delete", key };
    case EFFECT_EMIT:
      return { kind: "emit", key, value };
    case EFFECT_TIMER_SET: {
      const content = at + EFFECT_TIMER_HEADER_BYTES;
      return {
        kind: "timer",
        id: bytes.readBigUInt64LE(at + EFFECT_TIMER_AT_ID),
        delayMs: bytes.readDoubleLE(at + EFFECT_TIMER_AT_DUE) - nowMs,
        content: bytes.subarray(content, content + number),
      };
    }
    case EFFECT_TIMER_CANCEL:
      return { kind: "cancel", id: bytes.readBigUInt64LE(at + EFFECT_TIMER_AT_ID) };
    default:
      throw new Error(`effect of kind ${kind}`);
  }
}
