/** The door of JavaScript programs: QuickJS as a module, and the host as its programs call it. */
import { WASI_IMPORT_NAMES } from "../abi-imports.ts";
import type { DoorKind } from "../guest-door.ts";
import { caxtonImports } from "../host-calls.ts";
import type { CaxtonImports } from "../host-calls.ts";
import type { GuestMemory, TurnContext } from "../turn-context.ts";
import { wasiImports } from "../wasi.ts";
import { HOST_FUNCTION_NAMES, indexOf } from "./host-function-names.ts";
import type { HostFunctionName } from "./host-function-names.ts";
import { QuickJsGuest } from "./quickjs-guest.ts";

/** Whose memory it is: imports are shared by all instances and know the running one by its memory. */
const guests = new WeakMap<GuestMemory, QuickJsGuest>();

/** Takes the addresses of the arguments' boxes, gives that of the result's; undefined stands for itself. */
type HostFunction = (guest: QuickJsGuest, args: readonly number[]) => number | undefined;

export const quickJsDoor = {
  imports: (turn) => {
    const functions = hostFunctions(turn, caxtonImports(turn));
    const table = HOST_FUNCTION_NAMES.map((name) => functions[name]);
    const running = (): QuickJsGuest => guests.get(turn.memory)!;
    return {
      env: {
        host_call: (name: number, _bytes: number, _self: number, count: number, at: number) => {
          const guest = running();
          const args = Array.from({ length: count }, (_, i) => guest.readU32(at + 4 * i));
          const call = table[indexOf(guest.bytes()[name]!)]!;
          return call(guest, args) ?? guest.calls.qjs_get_undefined();
        },
        host_promise_rejection: (promise: number, reason: number, isHandled: number) => {
          running().noteRejection(promise, reason, isHandled !== 0);
        },
        host_interrupt: () => 0,
        host_module_normalize: () => 0,
        host_module_load: () => 0,
        // UTC.
        host_get_timezone_offset: () => 0,
      },
      wasi_snapshot_preview1: wasiImports(turn, WASI_IMPORT_NAMES),
    };
  },
  open: (exports, memory) => {
    const guest = new QuickJsGuest(exports, memory);
    guests.set(memory, guest);
    return guest;
  },
} satisfies DoorKind;

function hostFunctions(
  turn: TurnContext,
  caxton: CaxtonImports,
): Readonly<Record<HostFunctionName, HostFunction>> {
  return {
    send: (guest, [draft]) => {
      const { at, length } = guest.rangeOf(draft!);
      caxton.send(at, length);
      return undefined;
    },
    ask: (guest, [draft, timeoutMs]) => {
      const { at, length } = guest.rangeOf(draft!);
      const number = caxton.ask(at, length, guest.calls.qjs_get_float64(timeoutMs!));
      return guest.calls.qjs_new_number(Number(number));
    },
    reply: (guest, [draft]) => {
      const { at, length } = guest.rangeOf(draft!);
      caxton.reply(at, length);
      return undefined;
    },
    stateGet: (guest, [key]) =>
      withText(guest, key!, (at, length) =>
        answer(guest, (buf, bytes) => caxton.state_get(at, length, buf, bytes), "bytes"),
      ),
    statePut: (guest, [key, value]) =>
      withText(guest, key!, (at, length) => {
        const content = guest.rangeOf(value!);
        caxton.state_put(at, length, content.at, content.length);
      }),
    stateDelete: (guest, [key]) =>
      withText(guest, key!, (at, length) => {
        caxton.state_delete(at, length);
      }),
    stateList: (guest, [prefix]) =>
      withText(guest, prefix!, (at, length) =>
        answer(guest, (buf, bytes) => caxton.state_list(at, length, buf, bytes), "bytes"),
      ),
    emit: (guest, [topic, content]) =>
      withText(guest, topic!, (at, length) => {
        const body = guest.rangeOf(content!);
        caxton.emit(at, length, body.at, body.length);
      }),
    timerSet: (guest, [id, delayMs]) => {
      const { qjs_get_float64: number } = guest.calls;
      caxton.timer_set(BigInt(number(id!)), number(delayMs!), 0, 0);
      return undefined;
    },
    timerCancel: (guest, [id]) => {
      caxton.timer_cancel(BigInt(guest.calls.qjs_get_float64(id!)));
      return undefined;
    },
    log: (guest, [level, text]) =>
      withText(guest, text!, (at, length) => {
        caxton.log(guest.calls.qjs_get_float64(level!), at, length);
      }),
    now: (guest) => guest.calls.qjs_new_number(caxton.now()),
    random: (guest) => guest.calls.qjs_new_number(caxton.random()),
    config: (guest, [name]) =>
      withText(guest, name!, (at, length) =>
        answer(guest, (buf, bytes) => caxton.config_get(at, length, buf, bytes), "string"),
      ),
    flag: (guest, [name]) =>
      withText(guest, name!, (at, length) =>
        guest.calls.qjs_new_number(caxton.flag_get(at, length)),
      ),
    self: (guest) => {
      turn.requireMessage("self");
      return guest.stringValue(turn.actor.addressBytes);
    },
    encode: (guest, [text]) =>
      withText(guest, text!, (at, length) => guest.calls.qjs_new_uint8_array(at, length)),
    decode: (guest, [utf8]) => {
      const { at, length } = guest.rangeOf(utf8!);
      return guest.stringValue(wellFormed(guest.bytes().subarray(at, at + length)));
    },
    fail: (guest, [error]) => guest.failWith(error!),
    serve: (guest, functions) => {
      guest.serve(functions);
      return undefined;
    },
  };
}

/** Gives a value's text to `use` and frees it. */
function withText(
  guest: QuickJsGuest,
  value: number,
  use: (at: number, length: number) => number | undefined | void,
): number | undefined {
  const { at, length } = guest.utf8Of(value);
  if (at === 0) guest.failWith(guest.calls.qjs_get_exception());
  const result = use(at, length);
  guest.calls.qjs_free_cstring(at);
  return result ?? undefined;
}

/** A host call that fills a buffer when its answer fits, as a value; undefined when it has no answer. */
function answer(
  guest: QuickJsGuest,
  call: (buf: number, bytes: number) => number,
  kind: "bytes" | "string",
): number | undefined {
  const length = call(0, 0);
  if (length < 0) return undefined;
  const buf = guest.allocate(length || 1);
  call(buf, length);
  const { calls } = guest;
  const value =
    kind === "bytes" ? calls.qjs_new_uint8_array(buf, length) : calls.qjs_new_string(buf, length);
  calls.wasm_free(buf);
  return value;
}

/** QuickJS would take what is no UTF-8 for something else than the rest of the world. */
function wellFormed(bytes: Buffer): Buffer {
  return Buffer.from(bytes.toString("utf8"));
}
