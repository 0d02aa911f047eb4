/** Globals that programs expect, made of what the host gives: the same in every replay. */
import { clearTimer, setTimer } from "./handlers.ts";
import { host } from "./host.ts";
import { log, writer } from "./log.ts";
import { structuredCloneOf } from "./structured-clone.ts";
import { Utf8Decoder, Utf8Encoder } from "./text-coding.ts";

type Callback = (...args: unknown[]) => unknown;

function timerSetter(repeats: boolean) {
  return (callback: Callback, delayMs = 0, ...args: unknown[]): number =>
    setTimer(delayMs, repeats, () => callback(...args));
}

function fillRandom<T extends ArrayBufferView>(view: T): T {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  for (let i = 0; i < bytes.length; i++) bytes[i] = host.random() * 256;
  return view;
}

function randomUUID(): string {
  const bytes = fillRandom(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function refused(name: string, instead: string): () => never {
  return () => {
    throw new Error(`${name} is not there: ${instead}`);
  };
}

const clear = (id: unknown): void => {
  if (typeof id === "number") clearTimer(id);
};

const globals = {
  setTimeout: timerSetter(false),
  setInterval: timerSetter(true),
  clearTimeout: clear,
  clearInterval: clear,
  queueMicrotask: (callback: () => void) => {
    void Promise.resolve().then(callback);
  },
  structuredClone: structuredCloneOf,
  TextEncoder: Utf8Encoder,
  TextDecoder: Utf8Decoder,
  crypto: { randomUUID, getRandomValues: fillRandom },
  console: { ...log, log: writer(1), trace: writer(0) },
  fetch: refused("fetch", "an agent has no network; send a message to an agent or client that has"),
};

for (const [name, value] of Object.entries(globals)) {
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
}
Math.random = () => host.random();
