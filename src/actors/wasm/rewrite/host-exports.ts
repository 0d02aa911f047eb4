/** Names that begin so belong to the host; a module that exports one is refused. */
export const HOST_PREFIX = "caxton:";

/** What a rewritten module exports for the host. */
export const HOST_EXPORT = {
  /** The memory, whatever the module calls it. */
  memory: "caxton:memory",
  /** `(fuel: i64)`: sets the fuel and the depth to zero. Goes before any call into the module. */
  begin: "caxton:begin",
  /**
   * `(fuel: i64)`: begins, then runs the start function and `_initialize`, where there are any. For a fresh
   * instance; one that is restored from an image must not run them again.
   */
  initialize: "caxton:init",
  /** `(ptr: i32, len: i32, fuel: i64) -> i32`: begins and calls `caxton_handle`. */
  handle: "caxton:handle",
  /** `() -> f64`: fuel left; negative when it ran out. */
  fuel: "caxton:fuel",
  /** `() -> i32`: call depth; above `callDepthMax` after a call nested too deep. */
  depth: "caxton:depth",
} as const;

/**
 * Each mutable number is exported, for snapshots: an integer as the global it is, a float as a function that
 * gives its bits, because the bits of a NaN don't survive a JavaScript number.
 */
export function globalExport(index: number): string {
  return `${HOST_PREFIX}g${index}`;
}

/** The function that sets the bits of a float. */
export function globalSetter(globalExport: string): string {
  return `${globalExport}=`;
}
