/**
 * The turn that runs now, as host calls see it; one per worker.
 *
 * Guest code runs inside a time limit whose end can't be caught, so host calls only check, copy into the
 * ring and advance `sendNo`; whatever else a turn means happens after the batch (see partition/turns.ts).
 */
import { CaxtonError } from "../../base/errors.ts";
import type { ErrorCode } from "../../base/errors.ts";
import { SeededRandom } from "../../base/random.ts";
import type { Environment } from "../environment.ts";
import { rootOf } from "../partition/actor.ts";
import type { Actor, Handler, RootMessage } from "../partition/actor.ts";
import type { PendingMessage } from "../partition/message.ts";
import type { LogLine } from "../turn-batch.ts";
import type { EffectRing } from "./effects.ts";
import type { GuestDoor } from "./guest-door.ts";
import { traceExtension, traceOf, turnSpanId } from "./message-trace.ts";

const KEY_BYTES_MAX = 1024;
const LOG_BYTES_MAX = 8192;
const LOG_LINES_PER_TURN_MAX = 256;

/** Thrown by host calls: ends the guest like a trap, with a reason. */
export class HostTrap extends CaxtonError {}

export function trap(code: ErrorCode, reason: string): never {
  throw new HostTrap(code, reason);
}

/** Memory of the running instance; `bytes` is renewed when the guest has grown it. */
export interface GuestMemory {
  bytes: Buffer;
  /** How its instance is called. */
  readonly door?: GuestDoor;
  refresh(): void;
}

export class TurnContext {
  readonly ring: EffectRing;
  readonly random = new SeededRandom(0);
  readonly logs: LogLine[];
  readonly askChainMax: number;
  idPrefix!: Buffer;
  memory!: GuestMemory;
  actor!: Actor;
  environment!: Environment;
  /** The message this turn consumes. */
  message!: PendingMessage;
  /** The open handler the turn continues; undefined when it begins its own. */
  handler: Handler | undefined;
  replied = false;
  nowMs = 0;
  sendNo = 0;
  ringStart = 0;
  turnIndex = 0;
  /**
   * State as of the turn that is replayed, undefined in live turns. In replay, limits that depend on
   * what is not replayed are not checked again and nothing is logged.
   */
  replayState: Map<string, Buffer> | undefined;
  /** False while a module is initialised: it gets no effects, no state, and knows no actor. */
  hasMessage = false;
  logLinesLeft = LOG_LINES_PER_TURN_MAX;
  /** Undefined while nobody has asked, null for none. */
  private traceHeader: Buffer | null | undefined;

  constructor(ring: EffectRing, logs: LogLine[], askChainMax: number) {
    this.askChainMax = askChainMax;
    this.ring = ring;
    this.logs = logs;
  }

  /** The same for every instance of a module, wherever and whenever it is made. */
  beginInitialisation(memory: GuestMemory): void {
    this.memory = memory;
    this.hasMessage = false;
    this.nowMs = 0;
    this.random.reseed(0);
  }

  /** Traps in what means nothing without a message. */
  requireMessage(call: string): void {
    if (!this.hasMessage) {
      trap("HOST_CALL_INVALID", `${call} was called before the first message`);
    }
  }

  begin(
    actor: Actor,
    message: PendingMessage,
    handler: Handler | undefined,
    environment: Environment,
  ): void {
    this.hasMessage = true;
    this.actor = actor;
    this.message = message;
    this.handler = handler;
    this.replied = handler?.replied ?? false;
    this.environment = environment;
    this.ringStart = this.ring.cursor;
    this.logLinesLeft = LOG_LINES_PER_TURN_MAX;
    this.traceHeader = undefined;
  }

  /** The extension that brings the turn's trace to whom it sends. Made on demand: most turns have none. */
  get trace(): Buffer | null {
    if (this.traceHeader === undefined) {
      const trace = this.environment.carriesTrace ? traceOf(this.message, this.handler) : undefined;
      this.traceHeader =
        trace === undefined
          ? null
          : traceExtension(trace, turnSpanId(this.message, this.random.seed));
    }
    return this.traceHeader;
  }

  /** Made on demand: most turns neither ask nor reply. */
  get root(): RootMessage {
    return this.handler?.root ?? rootOf(this.message);
  }

  /** The guest's bytes [ptr, ptr+len), or a trap. Returns the checked start. */
  range(ptr: number, len: number, what: string): number {
    const start = ptr >>> 0;
    const length = len >>> 0;
    if (this.memory.bytes.length === 0) this.memory.refresh();
    if (start + length > this.memory.bytes.length) {
      trap(
        "HOST_CALL_INVALID",
        `${what}: bytes ${String(start)} to ${String(start + length)} lie outside memory of ${String(this.memory.bytes.length)} bytes`,
      );
    }
    return start;
  }

  reserve(kind: number, short: number, number: number, bytes: number): number {
    const { ring } = this;
    const limit = this.environment.manifest.limits.effectsBytesMax;
    const used = ring.cursor - this.ringStart;
    if (used + bytes + 3 > limit) {
      trap("EFFECTS_TOO_LARGE", `the effects of this turn pass ${String(limit)} bytes`);
    }
    return ring.reserve(kind, short, number, bytes);
  }

  key(ptr: number, len: number, what: string): string {
    const start = this.range(ptr, len, what);
    const length = len >>> 0;
    if (length === 0 || length > KEY_BYTES_MAX) {
      trap("HOST_CALL_INVALID", `${what}: a key has 1 to ${String(KEY_BYTES_MAX)} bytes`);
    }
    return this.memory.bytes.toString("latin1", start, start + length);
  }

  /** Copies a value to the guest when it fits; returns its length. */
  give(value: Uint8Array | undefined, buf: number, bufLen: number, what: string): number {
    const start = this.range(buf, bufLen, what);
    if (value === undefined) return -1;
    if (value.length <= bufLen >>> 0) this.memory.bytes.set(value, start);
    return value.length;
  }

  log(level: number, ptr: number, len: number): void {
    const start = this.range(ptr, len, "log");
    if (!this.hasMessage || this.replayState !== undefined || this.logLinesLeft === 0) return;
    this.logLinesLeft--;
    const end = start + Math.min(len >>> 0, LOG_BYTES_MAX);
    const text = this.memory.bytes.toString("utf8", start, end);
    this.logs.push({ actor: this.actor, level: level & 3, text, turn: this.turnIndex });
  }
}
