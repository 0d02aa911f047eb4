/** The interface `caxton:agent/host` as a component's core module imports it. */
import { WASI_IMPORT_NAMES } from "../abi-imports.ts";
import { HostCalls, caxtonImports } from "../host-calls.ts";
import { HostMessages } from "../host-messages.ts";
import { HostState } from "../host-state.ts";
import type { TurnContext } from "../turn-context.ts";
import { wasiImports } from "../wasi.ts";
import { BodyDraft } from "./body-draft.ts";
import type { ComponentGuest } from "./component-guest.ts";
import {
  ASK,
  HOST_INTERFACE,
  OPTIONAL_BOOL,
  OPTIONAL_BYTES,
  SEND,
  type HOST_FUNCTIONS,
} from "./world.ts";

type HostFunction = (...args: never[]) => unknown;

/** Bytes of where a list is: the whole answer of a function that returns one. */
const LIST_BYTES = 8;

export function componentImports(turn: TurnContext): WebAssembly.Imports {
  return {
    [HOST_INTERFACE]: { ...sharedWithCore(turn), ...sends(turn), ...answers(turn) },
    wasi_snapshot_preview1: wasiImports(turn, WASI_IMPORT_NAMES),
  };
}

type HostName = keyof typeof HOST_FUNCTIONS;

/** Functions whose parameters lie flat are those of the core ABI. */
function sharedWithCore(turn: TurnContext): Partial<Record<HostName, HostFunction>> {
  const core = caxtonImports(turn);
  return {
    fail: core["fail"],
    "state-put": core["state_put"],
    "state-delete": core["state_delete"],
    emit: core["emit"],
    "timer-set": core["timer_set"],
    "timer-cancel": core["timer_cancel"],
    log: core["log"],
    now: core["now"],
    random: core["random"],
  };
}

function sends(turn: TurnContext): Partial<Record<HostName, HostFunction>> {
  const messages = new HostMessages(turn);
  const draft = new BodyDraft(turn);
  return {
    send: (ptr: number) => {
      const at = turn.range(ptr, SEND.bytes, "send");
      draft.compose(at + SEND.at.body, at + SEND.at.to);
      messages.send(draft.bytes, 0, draft.length);
    },
    ask: (ptr: number) => {
      const at = turn.range(ptr, ASK.bytes, "ask");
      const timeoutMs = turn.memory.bytes.readUInt32LE(at + ASK.at["timeout-ms"]);
      draft.compose(at + ASK.at.body, at + ASK.at.to);
      return messages.ask(draft.bytes, 0, draft.length, timeoutMs);
    },
    reply: (ptr: number) => {
      draft.compose(ptr >>> 0, undefined);
      messages.reply(draft.bytes, 0, draft.length);
    },
  };
}

/** Functions that answer by memory. */
function answers(turn: TurnContext): Partial<Record<HostName, HostFunction>> {
  const state = new HostState(turn);
  const calls = new HostCalls(turn);
  const guest = (): ComponentGuest => turn.memory.door as ComponentGuest;
  const optional = (value: Buffer | undefined, ptr: number, what: string): void => {
    const at = turn.range(ptr, OPTIONAL_BYTES.bytes, what);
    turn.memory.bytes[at] = value === undefined ? 0 : 1;
    if (value !== undefined) guest().writeBytes(at + OPTIONAL_BYTES.payloadAt, value);
  };
  return {
    "state-get": (key: number, keyLen: number, ptr: number) => {
      optional(state.get(key, keyLen), ptr, "state-get");
    },
    "state-list": (prefix: number, prefixLen: number, ptr: number) => {
      const at = turn.range(ptr, LIST_BYTES, "state-list");
      const keys = state.keys(prefix, prefixLen);
      const array = guest().alloc(keys.length * LIST_BYTES, 4);
      keys.forEach((key, i) => {
        guest().writeBytes(array + i * LIST_BYTES, Buffer.from(key, "latin1"));
      });
      guest().writeRange(at, array, keys.length);
    },
    config: (name: number, nameLen: number, ptr: number) => {
      optional(calls.config(name, nameLen), ptr, "config");
    },
    flag: (name: number, nameLen: number, ptr: number) => {
      const value = calls.flag(name, nameLen);
      const at = turn.range(ptr, OPTIONAL_BOOL.bytes, "flag");
      turn.memory.bytes[at] = value < 0 ? 0 : 1;
      turn.memory.bytes[at + OPTIONAL_BOOL.payloadAt] = value > 0 ? 1 : 0;
    },
    self: (ptr: number) => {
      guest().writeBytes(turn.range(ptr, LIST_BYTES, "self"), calls.self());
    },
  };
}
