/**
 * The functions the host puts into an agent's global object before its bundle runs. They are taken out of it
 * here: an agent reaches the host through its context alone.
 */
export interface HostFunctions {
  /** `codes`: see Draft. */
  send(to: string, codes: number, content: string | Uint8Array, extensions?: Uint8Array): void;
  /** Returns the ask's number. */
  ask(
    to: string,
    codes: number,
    content: string | Uint8Array,
    extensions: Uint8Array | undefined,
    timeoutMs: number,
  ): number;
  reply(to: "", codes: number, content: string | Uint8Array, extensions?: Uint8Array): void;
  stateGet(key: string): Uint8Array | undefined;
  statePut(key: string, value: Uint8Array): void;
  stateDelete(key: string): void;
  /** Keys, each behind its u16 length. */
  stateList(prefix: string): Uint8Array;
  emit(topic: string, content: Uint8Array): void;
  timerSet(id: number, delayMs: number): void;
  timerCancel(id: number): void;
  log(level: number, text: string): void;
  now(): number;
  random(): number;
  config(name: string): string | undefined;
  /** 1, 0, or -1 when there is none. */
  flag(name: string): number;
  self(): string;
  encode(text: string): Uint8Array;
  decode(utf8: Uint8Array): string;
  /** Fails the turn. */
  fail(error: unknown): never;
  /** What the host calls. */
  serve(
    deliver: (message: Uint8Array) => void,
    settle: () => number,
    exportState: () => Uint8Array | undefined,
    importState: (bytes: Uint8Array) => boolean,
  ): void;
}

const NAME = "__caxtonHost";

export const host = Reflect.get(globalThis, NAME) as HostFunctions;
Reflect.deleteProperty(globalThis, NAME);
