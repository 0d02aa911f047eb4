/**
 * SIMD: instructions after the vector prefix, by their number. Only what the scanner needs: what follows
 * the number, and how the height of the operand stack changes.
 */

export const VECTOR_IMMEDIATE = {
  none: 0,
  memory: 1,
  memoryAndLane: 2,
  lane: 3,
  sixteenBytes: 4,
} as const;

export type VectorImmediate = (typeof VECTOR_IMMEDIATE)[keyof typeof VECTOR_IMMEDIATE];

/** From here on the numbers belong to relaxed SIMD and later extensions. */
export const VECTOR_OPCODES = 256;

export function vectorImmediate(opcode: number): VectorImmediate {
  if (opcode <= 11 || opcode === 92 || opcode === 93) return VECTOR_IMMEDIATE.memory;
  if (opcode === 12 || opcode === 13) return VECTOR_IMMEDIATE.sixteenBytes;
  if (opcode >= 21 && opcode <= 34) return VECTOR_IMMEDIATE.lane;
  if (opcode >= 84 && opcode <= 91) return VECTOR_IMMEDIATE.memoryAndLane;
  return VECTOR_IMMEDIATE.none;
}

/** Most instructions have two operands; these ranges are the others. */
const EFFECTS: readonly (readonly [first: number, last: number, effect: number])[] = [
  [0, 10, 0], // loads
  [11, 11, -2], // v128.store
  [12, 12, 1], // v128.const
  [15, 20, 0], // splats
  [21, 22, 0], // extract_lane, i8x16
  [24, 25, 0], // i16x8
  [27, 27, 0], // i32x4
  [29, 29, 0], // i64x2
  [31, 31, 0], // f32x4
  [33, 33, 0], // f64x2
  [77, 77, 0], // v128.not
  [82, 82, -2], // v128.bitselect
  [83, 83, 0], // v128.any_true
  [88, 91, -2], // store lanes
  [92, 100, 0], // load zero, demote, promote, i8x16 abs to bitmask
  [103, 106, 0], // f32x4 rounding
  [116, 117, 0], // f64x2.ceil, floor
  [122, 122, 0], // f64x2.trunc
  [124, 129, 0], // pairwise additions, i16x8.abs, neg
  [131, 132, 0], // i16x8.all_true, bitmask
  [135, 138, 0], // i16x8.extend
  [148, 148, 0], // f64x2.nearest
  [160, 161, 0], // i32x4.abs, neg
  [163, 164, 0], // i32x4.all_true, bitmask
  [167, 170, 0], // i32x4.extend
  [192, 193, 0], // i64x2.abs, neg
  [195, 196, 0], // i64x2.all_true, bitmask
  [199, 202, 0], // i64x2.extend
  [224, 225, 0], // f32x4.abs, neg
  [227, 227, 0], // f32x4.sqrt
  [236, 237, 0], // f64x2.abs, neg
  [239, 239, 0], // f64x2.sqrt
  [248, 255, 0], // conversions
];

export const vectorStackEffects = new Int8Array(VECTOR_OPCODES).fill(-1);
for (const [first, last, effect] of EFFECTS) vectorStackEffects.fill(effect, first, last + 1);
