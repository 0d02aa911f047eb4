/**
 * What any module may hold, whatever its manifest says: things a node pays for outside linear memory.
 * Generous for compilers (a 12 MB JavaScript engine stays far below), tight for hostile modules.
 */
export const BOUNDS = {
  typesMax: 50_000,
  importsMax: 1_000,
  functionsMax: 100_000,
  tablesMax: 8,
  globalsMax: 5_000,
  exportsMax: 5_000,
  elementsMax: 100_000,
  /** Parameters, locals and operands of one function; a v128 function counts them twice. */
  slotsMax: 5_000,
  /** The engine takes no larger function, and rewriting makes functions longer. */
  functionBytesMax: 7_654_321,
  /** Code after rewriting; loops of three bytes could make it many times longer. */
  codeBytesMax: 64 * 1024 * 1024,
} as const;

/**
 * What a thread that runs agents needs as `resourceLimits.stackSizeMb`. One unit of call depth took at most
 * 430 bytes of stack in all shapes of frames that were measured, cold and hot: 10,000 fit with room
 * to spare.
 */
export const GUEST_STACK_MEGABYTES = 8;
