/** Extensions of WebAssembly that agents can't use, and why. */
export const FEATURES = {
  threads: {
    message: "The module uses threads (shared memory or atomic instructions).",
    hint: "Compile for a single thread; an actor handles one message at a time.",
  },
  memory64: {
    message: "The module uses 64-bit memory or tables.",
    hint: "Compile for wasm32.",
  },
  severalMemories: {
    message: "The module has more than one memory.",
    hint: "Link everything into one linear memory.",
  },
  pageSizes: {
    message: "The module sets its own memory page size.",
    hint: "Use the standard page size of 64 KiB.",
  },
  tailCalls: {
    message: "The module uses tail calls.",
    hint: "Compile without the tail-call feature (clang: -mno-tail-call).",
  },
  exceptions: {
    message: "The module uses WebAssembly exceptions.",
    hint: "Compile without exception handling (clang: -fno-exceptions, and no setjmp).",
  },
  garbageCollection: {
    message: "The module uses garbage-collected or typed references.",
    hint: "Compile to linear memory; of the reference types, funcref and externref are accepted.",
  },
  relaxedSimd: {
    message: "The module uses relaxed SIMD, whose results differ between machines.",
    hint: "Compile with plain SIMD (clang: -msimd128 without -mrelaxed-simd).",
  },
  stackSwitching: {
    message: "The module uses stack switching.",
    hint: "Compile without it; what takes time is an effect whose answer arrives as a message.",
  },
} as const;

export type Feature = keyof typeof FEATURES;

/** Stops the reading of one section or function: what follows can't be told apart any more. */
export class FeatureRefused extends Error {
  readonly feature: Feature;

  constructor(feature: Feature) {
    super(FEATURES[feature].message);
    this.name = "FeatureRefused";
    this.feature = feature;
  }
}
