/** The functions of sdk/agent/runtime/host.ts, in the order of their numbers. */
export const HOST_FUNCTION_NAMES = [
  "send",
  "ask",
  "reply",
  "stateGet",
  "statePut",
  "stateDelete",
  "stateList",
  "emit",
  "timerSet",
  "timerCancel",
  "log",
  "now",
  "random",
  "config",
  "flag",
  "self",
  "encode",
  "decode",
  "fail",
  "serve",
] as const;

export type HostFunctionName = (typeof HOST_FUNCTION_NAMES)[number];

/** The global that holds them until the program's runtime takes it away. */
export const HOST_OBJECT = "__caxtonHost";

const FIRST = 0x41;

/** QuickJS calls the host by a function's name: one byte, so that nothing has to be decoded. */
export function nameOf(index: number): Uint8Array {
  return Uint8Array.of(FIRST + index);
}

export function indexOf(name: number): number {
  return name - FIRST;
}
