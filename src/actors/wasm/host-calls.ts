/** The host calls of module `caxton`. docs/agent-abi.md is the reference. */
import {
  EFFECT_EMIT,
  EFFECT_KEYED_HEADER_BYTES,
  EFFECT_TIMER_AT_DUE,
  EFFECT_TIMER_AT_ID,
  EFFECT_TIMER_CANCEL,
  EFFECT_TIMER_HEADER_BYTES,
  EFFECT_TIMER_SET,
} from "./effects.ts";
import { HostMessages } from "./host-messages.ts";
import { HostState } from "./host-state.ts";
import { trap } from "./turn-context.ts";
import type { TurnContext } from "./turn-context.ts";

const FAIL_TEXT_BYTES_MAX = 8192;

/** Events, timers and what a turn may know of itself. */
export class HostCalls {
  private readonly turn: TurnContext;

  constructor(turn: TurnContext) {
    this.turn = turn;
  }

  emit(topic: number, topicLen: number, ptr: number, len: number): void {
    const { turn } = this;
    turn.requireMessage("emit");
    const name = turn.key(topic, topicLen, "emit");
    const start = turn.range(ptr, len, "emit");
    const length = len >>> 0;
    const bytes = EFFECT_KEYED_HEADER_BYTES + name.length + length;
    const at = turn.reserve(EFFECT_EMIT, name.length, length, bytes);
    turn.ring.bytes.write(name, at + EFFECT_KEYED_HEADER_BYTES, "latin1");
    const body = at + EFFECT_KEYED_HEADER_BYTES + name.length;
    turn.memory.bytes.copy(turn.ring.bytes, body, start, start + length);
  }

  timerSet(id: bigint, delayMs: number, ptr: number, len: number): void {
    const { turn } = this;
    turn.requireMessage("timer_set");
    const start = turn.range(ptr, len, "timer_set");
    const length = len >>> 0;
    const { limits } = turn.environment.manifest;
    if (length > limits.messageBytesMax) {
      trap("MESSAGE_TOO_LARGE", `a timer's ${String(length)} bytes pass the limit`);
    }
    const { actor } = turn;
    const isNew = !actor.timers.has(BigInt.asUintN(64, id));
    if (
      isNew &&
      turn.replayState === undefined &&
      actor.timers.size + actor.timersDraft++ >= limits.timersMax
    ) {
      trap("OVERLOADED", `the actor has ${String(limits.timersMax)} timers already`);
    }
    const at = turn.reserve(EFFECT_TIMER_SET, 0, length, EFFECT_TIMER_HEADER_BYTES + length);
    turn.ring.view.setBigUint64(at + EFFECT_TIMER_AT_ID, BigInt.asUintN(64, id), true);
    turn.ring.view.setFloat64(at + EFFECT_TIMER_AT_DUE, turn.nowMs + (delayMs >>> 0), true);
    turn.memory.bytes.copy(turn.ring.bytes, at + EFFECT_TIMER_HEADER_BYTES, start, start + length);
  }

  timerCancel(id: bigint): void {
    const { turn } = this;
    turn.requireMessage("timer_cancel");
    const at = turn.reserve(EFFECT_TIMER_CANCEL, 0, 0, EFFECT_TIMER_AT_ID + 8);
    turn.ring.view.setBigUint64(at + EFFECT_TIMER_AT_ID, BigInt.asUintN(64, id), true);
  }

  fail(ptr: number, len: number): never {
    const { turn } = this;
    const start = turn.range(ptr, len, "fail");
    const end = start + Math.min(len >>> 0, FAIL_TEXT_BYTES_MAX);
    trap("AGENT_FAILED", turn.memory.bytes.toString("utf8", start, end));
  }

  config(key: number, keyLen: number): Buffer | undefined {
    const { turn } = this;
    turn.requireMessage("config_get");
    const start = turn.range(key, keyLen, "config_get");
    const name = turn.memory.bytes.toString("utf8", start, start + (keyLen >>> 0));
    const { config } = turn.environment.manifest;
    return Object.hasOwn(config, name) ? Buffer.from(config[name]!) : undefined;
  }

  flag(key: number, keyLen: number): number {
    const { turn } = this;
    turn.requireMessage("flag_get");
    const start = turn.range(key, keyLen, "flag_get");
    const name = turn.memory.bytes.toString("utf8", start, start + (keyLen >>> 0));
    const { flags } = turn.environment.manifest;
    if (!Object.hasOwn(flags, name)) return -1;
    return flags[name] === true ? 1 : 0;
  }

  self(): Buffer {
    this.turn.requireMessage("self");
    return this.turn.actor.addressBytes;
  }
}

/** The module `caxton` as an import object; every instance of a worker shares it. */
export function caxtonImports(turn: TurnContext) {
  const messages = new HostMessages(turn);
  const state = new HostState(turn);
  const calls = new HostCalls(turn);
  return {
    send: (ptr: number, len: number) => {
      const start = turn.range(ptr, len, "send");
      messages.send(turn.memory.bytes, start, len >>> 0);
    },
    ask: (ptr: number, len: number, timeoutMs: number) => {
      const start = turn.range(ptr, len, "ask");
      return messages.ask(turn.memory.bytes, start, len >>> 0, timeoutMs);
    },
    reply: (ptr: number, len: number) => {
      const start = turn.range(ptr, len, "reply");
      messages.reply(turn.memory.bytes, start, len >>> 0);
    },
    fail: (ptr: number, len: number) => calls.fail(ptr, len),
    state_get: (k: number, kl: number, b: number, bl: number) => state.stateGet(k, kl, b, bl),
    state_put: (k: number, kl: number, v: number, vl: number) => {
      state.statePut(k, kl, v, vl);
    },
    state_delete: (k: number, kl: number) => {
      state.stateDelete(k, kl);
    },
    state_list: (p: number, pl: number, b: number, bl: number) => state.stateList(p, pl, b, bl),
    emit: (t: number, tl: number, p: number, l: number) => {
      calls.emit(t, tl, p, l);
    },
    timer_set: (id: bigint, delayMs: number, p: number, l: number) => {
      calls.timerSet(id, delayMs, p, l);
    },
    timer_cancel: (id: bigint) => {
      calls.timerCancel(id);
    },
    log: (level: number, p: number, l: number) => {
      turn.log(level, p, l);
    },
    now: () => turn.nowMs,
    random: () => turn.random.nextFloat(),
    config_get: (k: number, kl: number, b: number, bl: number) =>
      turn.give(calls.config(k, kl), b, bl, "config_get"),
    flag_get: (k: number, kl: number) => calls.flag(k, kl),
    self: (b: number, bl: number) => turn.give(calls.self(), b, bl, "self"),
  };
}

export type CaxtonImports = ReturnType<typeof caxtonImports>;

/** `env.abort` of AssemblyScript: a pointer to UTF-16 text whose bytes are counted just before it. */
export function abortImport(turn: TurnContext) {
  return (message: number, _file: number, line: number, column: number): never => {
    let text = "abort";
    if (message !== 0) {
      const lengthAt = turn.range(message - 4, 4, "abort");
      const length = turn.memory.bytes.readUInt32LE(lengthAt);
      const start = turn.range(message, length, "abort");
      const end = start + Math.min(length, FAIL_TEXT_BYTES_MAX);
      text = turn.memory.bytes.toString("utf16le", start, end);
    }
    trap("AGENT_FAILED", `${text} at ${String(line)}:${String(column)}`);
  };
}
