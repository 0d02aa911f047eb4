/** Instructions without structure, by the type they give: what the generator builds expressions from. */
import { unsigned, type Code, type WasmType } from "../../support/wasm-builder.ts";

export interface Operation {
  readonly operands: readonly WasmType[];
  readonly code: Code;
}

const table = new Map<WasmType, Operation[]>();

function add(result: WasmType, operands: readonly WasmType[], code: Code): void {
  const operations = table.get(result);
  if (operations === undefined) table.set(result, [{ operands, code }]);
  else operations.push({ operands, code });
}

function addRange(
  result: WasmType,
  operands: readonly WasmType[],
  first: number,
  last: number,
): void {
  for (let opcode = first; opcode <= last; opcode += 1) add(result, operands, [opcode]);
}

function addVectors(
  result: WasmType,
  operands: readonly WasmType[],
  first: number,
  last: number,
): void {
  for (let opcode = first; opcode <= last; opcode += 1) {
    add(result, operands, [0xfd, ...unsigned(opcode)]);
  }
}

function addPlain(): void {
  addRange("i32", ["i32"], 0x45, 0x45);
  addRange("i32", ["i32", "i32"], 0x46, 0x4f);
  addRange("i32", ["i64"], 0x50, 0x50);
  addRange("i32", ["i64", "i64"], 0x51, 0x5a);
  addRange("i32", ["f32", "f32"], 0x5b, 0x60);
  addRange("i32", ["f64", "f64"], 0x61, 0x66);
  addRange("i32", ["i32"], 0x67, 0x69);
  addRange("i32", ["i32", "i32"], 0x6a, 0x78);
  addRange("i64", ["i64"], 0x79, 0x7b);
  addRange("i64", ["i64", "i64"], 0x7c, 0x8a);
  // NaN payloads and signs are up to the engine: nothing here makes them visible.
  addRange("f32", ["f32"], 0x8d, 0x91);
  addRange("f32", ["f32", "f32"], 0x92, 0x97);
  addRange("f64", ["f64"], 0x9b, 0x9f);
  addRange("f64", ["f64", "f64"], 0xa0, 0xa5);
  addRange("i32", ["i64"], 0xa7, 0xa7);
  addRange("i32", ["f32"], 0xa8, 0xa9);
  addRange("i32", ["f64"], 0xaa, 0xab);
  addRange("i64", ["i32"], 0xac, 0xad);
  addRange("i64", ["f32"], 0xae, 0xaf);
  addRange("i64", ["f64"], 0xb0, 0xb1);
  addRange("f32", ["i32"], 0xb2, 0xb3);
  addRange("f32", ["i64"], 0xb4, 0xb5);
  addRange("f32", ["f64"], 0xb6, 0xb6);
  addRange("f64", ["i32"], 0xb7, 0xb8);
  addRange("f64", ["i64"], 0xb9, 0xba);
  addRange("f64", ["f32"], 0xbb, 0xbb);
  addRange("i32", ["i32"], 0xc0, 0xc1);
  addRange("i64", ["i64"], 0xc2, 0xc4);
  for (let operation = 0; operation < 8; operation += 1) {
    const operand = operation & 2 ? "f64" : "f32";
    add(operation < 4 ? "i32" : "i64", [operand], [0xfc, operation]);
  }
}

function addVectorInstructions(): void {
  addVectors("v128", ["i32"], 15, 17);
  addVectors("v128", ["i64"], 18, 18);
  addVectors("v128", ["v128", "v128"], 35, 64);
  addVectors("v128", ["v128"], 77, 77);
  addVectors("v128", ["v128", "v128", "v128"], 82, 82);
  addVectors("i32", ["v128"], 83, 83);
  addVectors("v128", ["v128"], 96, 98);
  addVectors("v128", ["v128", "i32"], 107, 109);
  addVectors("v128", ["v128", "v128"], 110, 115);
  addVectors("v128", ["v128", "v128"], 174, 174);
  addVectors("v128", ["v128", "v128"], 206, 206);
  add("i32", ["v128"], [0xfd, 27, 1]);
  add("i64", ["v128"], [0xfd, 29, 0]);
  add("v128", ["v128", "i32"], [0xfd, 28, 2]);
}

addPlain();
addVectorInstructions();
add("i32", ["funcref"], [0xd1]);

export function operationsGiving(type: WasmType): readonly Operation[] {
  return table.get(type) ?? [];
}

/** Load instructions by type, each to be followed by alignment and offset. */
export const LOADS: Readonly<Partial<Record<WasmType, readonly number[]>>> = {
  i32: [0x28, 0x2c, 0x2d, 0x2e, 0x2f],
  i64: [0x29, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35],
};

export const STORES: Readonly<Partial<Record<WasmType, readonly number[]>>> = {
  i32: [0x36, 0x3a, 0x3b],
  i64: [0x37, 0x3c, 0x3d, 0x3e],
};
