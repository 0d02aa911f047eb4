/** The functions the rewriter appends: meters for bulk operations, and what the host calls. */
import { ByteWriter } from "./byte-writer.ts";
import { writeFuelCheck } from "./meter-body.ts";
import type { FunctionType } from "./module-model.ts";
import { OP, VOID_BLOCK } from "./opcodes.ts";

export interface AppendedFunction {
  readonly type: FunctionType;
  /** Locals and instructions, without the length. */
  readonly body: Uint8Array;
}

/** One unit of fuel for so many bytes, as a power of two: filling runs at about this against plain code. */
const BYTES_PER_FUEL_SHIFT = 6;
/** Growing by a page costs what filling it would. */
const FUEL_PER_PAGE_SHIFT = 10;
const FUEL_PER_GROW = 1_000;

const NO_LOCALS = [0];
const ONE_LOCAL_I32 = [1, 1, 0x7f];
const UNARY: FunctionType = { params: ["i32"], results: ["i32"] };

/** Charges for a bulk operation of as many bytes as its argument says, unsigned; gives it back. */
export function meterBytes(fuel: number, memoryPagesMax: number): AppendedFunction {
  return meter(fuel, BYTES_PER_FUEL_SHIFT, memoryPagesMax << FUEL_PER_PAGE_SHIFT);
}

/** The same for table elements, each of which costs one. */
export function meterElements(fuel: number, tableElementsMax: number): AppendedFunction {
  return meter(fuel, 0, tableElementsMax);
}

/** More than there can be costs nothing: the operation is about to trap, or to be refused. */
function meter(fuel: number, shift: number, unitsMax: number): AppendedFunction {
  const UNITS = 1;
  const body = write((writer) => {
    writeAll(writer, ONE_LOCAL_I32);
    const max = write((inner) => inner.s32(unitsMax));
    writeSpend(writer, fuel, [
      ...[OP.localGet, 0, OP.i32Const, shift, OP.i32ShrU, OP.localSet, UNITS],
      ...[OP.localGet, UNITS, OP.localGet, UNITS, OP.i32Const, ...max, OP.i32LeU],
      ...[OP.i32Mul, OP.i64ExtendI32U],
    ]);
    writeAll(writer, [OP.localGet, 0, OP.end]);
  });
  return { type: UNARY, body };
}

/** Stands in for memory.grow; a refused growth costs the call alone, so that asking for much is no crime. */
export function growMemory(fuel: number): AppendedFunction {
  const PREVIOUS_PAGES = 1;
  const MINUS_ONE = 0x7f;
  const body = write((writer) => {
    writeAll(writer, ONE_LOCAL_I32);
    const constant = write((inner) => inner.s32(FUEL_PER_GROW));
    writeSpend(writer, fuel, [OP.i64Const, ...constant]);
    writeAll(writer, [OP.localGet, 0, OP.memoryGrow, 0, OP.localSet, PREVIOUS_PAGES]);
    writeAll(writer, [OP.localGet, PREVIOUS_PAGES, OP.i32Const, MINUS_ONE, OP.i32Eq]);
    writeAll(writer, [OP.if, VOID_BLOCK, OP.i32Const, MINUS_ONE, OP.return, OP.end]);
    const pages = [OP.localGet, 0, OP.i64ExtendI32U];
    writeSpend(writer, fuel, [...pages, OP.i64Const, FUEL_PER_PAGE_SHIFT, OP.i64Shl]);
    writeAll(writer, [OP.localGet, PREVIOUS_PAGES, OP.end]);
  });
  return { type: UNARY, body };
}

/** Sets the fuel and forgets the depth that a trap left behind, then calls `callees` in order. */
export function begin(
  fuel: number,
  depth: number,
  callees: readonly number[] = [],
): AppendedFunction {
  const body = write((writer) => {
    writeAll(writer, NO_LOCALS);
    writeBegin(writer, fuel, depth, 0);
    for (const callee of callees) writeCall(writer, callee);
    writer.byte(OP.end);
  });
  return { type: { params: ["i64"], results: [] }, body };
}

/** Begins and handles one message: pointer, length, fuel. */
export function handle(fuel: number, depth: number, callee: number): AppendedFunction {
  const body = write((writer) => {
    writeAll(writer, NO_LOCALS);
    writeBegin(writer, fuel, depth, 2);
    writeAll(writer, [OP.localGet, 0, OP.localGet, 1]);
    writeCall(writer, callee);
    writer.byte(OP.end);
  });
  return { type: { params: ["i32", "i32", "i64"], results: ["i32"] }, body };
}

/** Fuel left as a number the host reads without a bigint. */
export function readFuel(fuel: number): AppendedFunction {
  const body = write((writer) => {
    writeAll(writer, NO_LOCALS);
    writeGlobal(writer, OP.globalGet, fuel);
    writeAll(writer, [OP.f64ConvertI64S, OP.end]);
  });
  return { type: { params: [], results: ["f64"] }, body };
}

export function readDepth(depth: number): AppendedFunction {
  const body = write((writer) => {
    writeAll(writer, NO_LOCALS);
    writeGlobal(writer, OP.globalGet, depth);
    writer.byte(OP.end);
  });
  return { type: { params: [], results: ["i32"] }, body };
}

const FLOAT_BITS = {
  f32: { type: "i32", read: OP.i32ReinterpretF32, write: OP.f32ReinterpretI32 },
  f64: { type: "i64", read: OP.i64ReinterpretF64, write: OP.f64ReinterpretI64 },
} as const;

export function readFloat(global: number, type: "f32" | "f64"): AppendedFunction {
  const bits = FLOAT_BITS[type];
  const body = write((writer) => {
    writeAll(writer, NO_LOCALS);
    writeGlobal(writer, OP.globalGet, global);
    writeAll(writer, [bits.read, OP.end]);
  });
  return { type: { params: [], results: [bits.type] }, body };
}

export function writeFloat(global: number, type: "f32" | "f64"): AppendedFunction {
  const bits = FLOAT_BITS[type];
  const body = write((writer) => {
    writeAll(writer, [...NO_LOCALS, OP.localGet, 0, bits.write]);
    writeGlobal(writer, OP.globalSet, global);
    writer.byte(OP.end);
  });
  return { type: { params: [bits.type], results: [] }, body };
}

function writeBegin(writer: ByteWriter, fuel: number, depth: number, fuelLocal: number): void {
  writeAll(writer, [OP.localGet, fuelLocal]);
  writeGlobal(writer, OP.globalSet, fuel);
  writeAll(writer, [OP.i32Const, 0]);
  writeGlobal(writer, OP.globalSet, depth);
}

/** Takes what `cost` leaves on the stack (i64, not negative) from the fuel. */
function writeSpend(writer: ByteWriter, fuel: number, cost: readonly number[]): void {
  writeGlobal(writer, OP.globalGet, fuel);
  writeAll(writer, [...cost, OP.i64Sub]);
  writeGlobal(writer, OP.globalSet, fuel);
  writeFuelCheck(writer, fuel);
}

function writeGlobal(writer: ByteWriter, operation: number, index: number): void {
  writer.byte(operation);
  writer.u32(index);
}

function writeCall(writer: ByteWriter, callee: number): void {
  writer.byte(OP.call);
  writer.u32(callee);
}

function writeAll(writer: ByteWriter, bytes: readonly number[]): void {
  for (const byte of bytes) writer.byte(byte);
}

function write(compose: (writer: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter(64);
  compose(writer);
  return writer.written.slice();
}
