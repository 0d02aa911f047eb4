import { HOST_EXPORT } from "../../src/actors/wasm/rewrite/host-exports.ts";
import { rewriteModule, type RewrittenModule } from "../../src/actors/wasm/rewrite/rewriter.ts";
import type { RewriteLimits } from "../../src/actors/wasm/rewrite/structure.ts";

export const LIMITS: RewriteLimits = {
  memoryPagesMax: 16,
  tableElementsMax: 100,
  callDepthMax: 1000,
};

export type Callable = (...args: (number | bigint)[]) => unknown;

/** An instance of a rewritten module, with the host's exports under their own names. */
export interface Running {
  readonly module: RewrittenModule;
  readonly exports: WebAssembly.Exports;
  readonly begin: (fuel: bigint) => void;
  readonly fuel: () => number;
  readonly depth: () => number;
  readonly call: (name: string, ...args: (number | bigint)[]) => unknown;
}

export function start(
  bytes: Uint8Array,
  imports: WebAssembly.Imports = {},
  limits: RewriteLimits = LIMITS,
): Running {
  const module = rewriteModule(bytes, limits);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.bytes), imports);
  return {
    module,
    exports,
    begin: exports[HOST_EXPORT.begin] as (fuel: bigint) => void,
    fuel: exports[HOST_EXPORT.fuel] as () => number,
    depth: exports[HOST_EXPORT.depth] as () => number,
    call: (name, ...args) => (exports[name] as Callable)(...args),
  };
}

/** Exports of the module as it is. */
export function startOriginal(bytes: Uint8Array, imports: WebAssembly.Imports = {}) {
  return new WebAssembly.Instance(new WebAssembly.Module(bytes), imports).exports;
}

export type Result =
  | { readonly kind: "value"; readonly value: unknown }
  | { readonly kind: "trap"; readonly message: string };

export function resultOf(work: () => unknown): Result {
  try {
    return { kind: "value", value: work() };
  } catch (error) {
    return { kind: "trap", message: error instanceof Error ? error.message : String(error) };
  }
}
