import type { Feature } from "./features.ts";

/** The instructions the rewriter looks at or writes. */
export const OP = {
  unreachable: 0x00,
  nop: 0x01,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  brTable: 0x0e,
  return: 0x0f,
  call: 0x10,
  callIndirect: 0x11,
  selectTyped: 0x1c,
  localGet: 0x20,
  localSet: 0x21,
  globalGet: 0x23,
  globalSet: 0x24,
  tableSet: 0x26,
  memoryGrow: 0x40,
  i32Const: 0x41,
  i64Const: 0x42,
  i64LtS: 0x53,
  i32GtS: 0x4a,
  i32Eq: 0x46,
  i32LeU: 0x4d,
  i32Add: 0x6a,
  i32Sub: 0x6b,
  i32Mul: 0x6c,
  i32ShrU: 0x76,
  i64Sub: 0x7d,
  i64Shl: 0x86,
  i64ExtendI32U: 0xad,
  f64ConvertI64S: 0xb9,
  i32ReinterpretF32: 0xbc,
  i64ReinterpretF64: 0xbd,
  f32ReinterpretI32: 0xbe,
  f64ReinterpretI64: 0xbf,
  prefixBulk: 0xfc,
  prefixVector: 0xfd,
} as const;

/** Second byte after `prefixBulk`. */
export const BULK = {
  memoryInit: 8,
  dataDrop: 9,
  memoryCopy: 10,
  memoryFill: 11,
  tableInit: 12,
  elemDrop: 13,
  tableCopy: 14,
  tableGrow: 15,
  tableFill: 17,
  last: 17,
} as const;

export const VOID_BLOCK = 0x40;

/** What follows an opcode in the code. */
export const IMMEDIATE = {
  none: 0,
  number: 1,
  twoNumbers: 2,
  memory: 3,
  fourBytes: 4,
  eightBytes: 5,
  /** The scanner treats the instruction itself. */
  special: 6,
  refused: 7,
} as const;

/** By opcode: one of IMMEDIATE. */
export const immediates = new Uint8Array(256).fill(IMMEDIATE.refused);

/** By opcode: how many operands more (or fewer) are on the stack afterwards. */
export const stackEffects = new Int8Array(256);

function define(first: number, last: number, immediate: number, effect: number): void {
  immediates.fill(immediate, first, last + 1);
  stackEffects.fill(effect, first, last + 1);
}

/** Instructions without immediates: those with one operand keep the stack's height, others pop one. */
function defineNumeric(first: number, last: number, operands: 1 | 2): void {
  define(first, last, IMMEDIATE.none, 1 - operands);
}

for (const opcode of [0x00, 0x02, 0x03, 0x04, 0x05, 0x0b, 0x0c, 0x0e, 0x0f, 0x10, 0x11, 0x1c]) {
  define(opcode, opcode, IMMEDIATE.special, 0);
}
for (const opcode of [OP.tableSet, OP.memoryGrow, OP.prefixBulk, OP.prefixVector]) {
  define(opcode, opcode, IMMEDIATE.special, 0);
}
define(OP.nop, OP.nop, IMMEDIATE.none, 0);
define(OP.brIf, OP.brIf, IMMEDIATE.number, -1);
define(0x1a, 0x1a, IMMEDIATE.none, -1); // drop
define(0x1b, 0x1b, IMMEDIATE.none, -2); // select
define(0x20, 0x20, IMMEDIATE.number, 1); // local.get
define(0x21, 0x21, IMMEDIATE.number, -1); // local.set
define(0x22, 0x22, IMMEDIATE.number, 0); // local.tee
define(0x23, 0x23, IMMEDIATE.number, 1); // global.get
define(0x24, 0x24, IMMEDIATE.number, -1); // global.set
define(0x25, 0x25, IMMEDIATE.number, 0); // table.get
define(0x28, 0x35, IMMEDIATE.memory, 0); // loads
define(0x36, 0x3e, IMMEDIATE.memory, -2); // stores
define(0x3f, 0x3f, IMMEDIATE.number, 1); // memory.size
define(0x41, 0x42, IMMEDIATE.number, 1); // i32.const, i64.const
define(0x43, 0x43, IMMEDIATE.fourBytes, 1); // f32.const
define(0x44, 0x44, IMMEDIATE.eightBytes, 1); // f64.const
defineNumeric(0x45, 0x45, 1); // i32.eqz
defineNumeric(0x46, 0x4f, 2); // i32 comparisons
defineNumeric(0x50, 0x50, 1); // i64.eqz
defineNumeric(0x51, 0x66, 2); // i64, f32, f64 comparisons
defineNumeric(0x67, 0x69, 1); // i32.clz, ctz, popcnt
defineNumeric(0x6a, 0x78, 2); // i32 arithmetic
defineNumeric(0x79, 0x7b, 1); // i64.clz, ctz, popcnt
defineNumeric(0x7c, 0x8a, 2); // i64 arithmetic
defineNumeric(0x8b, 0x91, 1); // f32.abs to sqrt
defineNumeric(0x92, 0x98, 2); // f32 arithmetic
defineNumeric(0x99, 0x9f, 1); // f64.abs to sqrt
defineNumeric(0xa0, 0xa6, 2); // f64 arithmetic
defineNumeric(0xa7, 0xc4, 1); // conversions
define(0xd0, 0xd0, IMMEDIATE.number, 1); // ref.null
define(0xd1, 0xd1, IMMEDIATE.none, 0); // ref.is_null
define(0xd2, 0xd2, IMMEDIATE.number, 1); // ref.func

/** By second byte after `prefixBulk`. */
export const BULK_STACK_EFFECTS: readonly number[] = [
  ...[0, 0, 0, 0, 0, 0, 0, 0], // saturating truncations
  ...[-3, 0, -3, -3], // memory.init, data.drop, memory.copy, memory.fill
  ...[-3, 0, -3, -1, 1, -3], // table.init, elem.drop, table.copy, table.grow, table.size, table.fill
];

/** By second byte after `prefixBulk`: how many numbers follow. */
export const BULK_NUMBERS: readonly number[] = [
  ...[0, 0, 0, 0, 0, 0, 0, 0],
  ...[2, 1, 2, 1],
  ...[2, 1, 2, 1, 1, 1],
];

/** Extension an opcode belongs to; undefined for one nobody knows. */
export function featureOfOpcode(opcode: number): Feature | undefined {
  if (opcode === 0x12 || opcode === 0x13) return "tailCalls";
  if (opcode === 0x15) return "tailCalls"; // return_call_ref
  if ((opcode >= 0x06 && opcode <= 0x0a) || opcode === 0x18 || opcode === 0x19) return "exceptions";
  if (opcode === 0x1f) return "exceptions";
  if (opcode === 0x14 || opcode === 0xfb || (opcode >= 0xd3 && opcode <= 0xd6)) {
    return "garbageCollection";
  }
  if (opcode >= 0xe0 && opcode <= 0xe6) return "stackSwitching";
  if (opcode === 0xfe) return "threads";
  return undefined;
}
