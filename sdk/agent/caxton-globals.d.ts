/** What an agent finds besides the language itself. All of it gives the same when a turn is replayed. */
declare const console: {
  debug(...values: unknown[]): void;
  log(...values: unknown[]): void;
  info(...values: unknown[]): void;
  warn(...values: unknown[]): void;
  error(...values: unknown[]): void;
};

/** Durable: a timer that is set rings, also after a crash. */
declare function setTimeout<A extends unknown[]>(
  run: (...args: A) => void,
  ms?: number,
  ...args: A
): number;
declare function clearTimeout(timer: number | undefined): void;
declare function setInterval<A extends unknown[]>(
  run: (...args: A) => void,
  ms?: number,
  ...args: A
): number;
declare function clearInterval(timer: number | undefined): void;
declare function queueMicrotask(run: () => void): void;

declare function structuredClone<T>(value: T): T;
declare function atob(base64: string): string;
declare function btoa(latin1: string): string;

declare class TextEncoder {
  encode(text?: string): Uint8Array;
}
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  decode(bytes?: ArrayBuffer | ArrayBufferView): string;
}

declare const crypto: {
  randomUUID(): string;
  getRandomValues<T extends ArrayBufferView>(array: T): T;
};
