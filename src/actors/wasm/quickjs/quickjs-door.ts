/** The door of JavaScript programs: QuickJS as a module, and the host as its programs call it. */
import { WASI_IMPORT_NAMES } from "../abi-imports.ts";
import type { DoorKind } from "../guest-door.ts";
import { caxtonImports } from "../host-calls.ts";
import type { GuestMemory } from "../turn-context.ts";
import { wasiImports } from "../wasi.ts";
import { HOST_FUNCTION_NAMES, indexOf } from "./host-function-names.ts";
import { hostFunctions } from "./host-functions.ts";
import { QUICKJS_EXPORT_NAMES } from "./quickjs-exports.ts";
import { QuickJsGuest } from "./quickjs-guest.ts";

/** Whose memory it is: imports are shared by all instances and know the running one by its memory. */
const guests = new WeakMap<GuestMemory, QuickJsGuest>();

export const quickJsDoor = {
  ownExports: QUICKJS_EXPORT_NAMES,
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
