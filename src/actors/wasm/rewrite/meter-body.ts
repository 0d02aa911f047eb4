import type { ByteWriter } from "./byte-writer.ts";
import type { FunctionType, Span } from "./module-model.ts";
import { VALUE_TYPE_BYTES } from "./module-model.ts";
import { OP, VOID_BLOCK } from "./opcodes.ts";
import type { BodyScan, Edit } from "./scan-body.ts";

/**
 * A segment costs at most this: one header may stand before code of which a turn runs a few
 * instructions, as in an interpreter's loop. Fits into one byte of signed LEB128.
 */
const SEGMENT_COST_MAX = 32;

/** A frame counts once, and once more for so many slots: deep recursion can't overflow the real stack. */
const SLOTS_PER_DEPTH = 32;

/** Where things the rewriter appended are found. */
export interface Appended {
  readonly fuelGlobal: number;
  readonly depthGlobal: number;
  readonly meterBytes: number;
  readonly meterElements: number;
  readonly growMemory: number;
  readonly callDepthMax: number;
}

/**
 * Writes one function with fuel and call depth accounted for.
 *
 * A function that calls nothing can't recurse, so only its fuel is counted. Any other body is put in a block
 * of the function's results, at whose end the depth is given back: branches to the function's own label then
 * reach that block, and `return` becomes such a branch.
 */
export function writeMeteredBody(
  writer: ByteWriter,
  bytes: Uint8Array,
  body: Span,
  scan: BodyScan,
  blockType: number,
  appended: Appended,
): void {
  writer.copy(bytes, body.start, scan.codeStart);
  writeCharge(writer, scan.costs[0]!, appended);
  const depth = 1 + Math.floor(scan.slots / SLOTS_PER_DEPTH);
  if (scan.calls) {
    writeEnter(writer, depth, appended);
    writer.byte(OP.block);
    writer.s32(blockType);
  }
  let position = scan.codeStart;
  for (const edit of scan.edits) {
    writer.copy(bytes, position, edit.at);
    writeEdit(writer, edit, scan, appended);
    position = edit.end;
  }
  writer.copy(bytes, position, body.end);
  if (scan.calls) {
    writeDepthChange(writer, OP.i32Sub, depth, appended);
    writer.byte(OP.end);
  }
}

/** The type of a block with these results; `typeIndexOf` finds or appends one for several. */
export function blockTypeOf(
  results: FunctionType["results"],
  typeIndexOf: (type: FunctionType) => number,
): number {
  const [only] = results;
  if (only === undefined) return VOID_BLOCK - 0x80;
  if (results.length === 1) return VALUE_TYPE_BYTES[only] - 0x80;
  return typeIndexOf({ params: [], results });
}

function writeEdit(writer: ByteWriter, edit: Edit, scan: BodyScan, appended: Appended): void {
  switch (edit.kind) {
    case "loop":
      writeCharge(writer, scan.costs[edit.segment]!, appended);
      return;
    case "return":
      writer.byte(OP.br);
      writer.u32(edit.label);
      return;
    case "meter-bytes":
      writeCall(writer, appended.meterBytes);
      return;
    case "meter-elements":
      writeCall(writer, appended.meterElements);
      return;
    case "grow-memory":
      writeCall(writer, appended.growMemory);
      return;
  }
}

function writeCall(writer: ByteWriter, functionIndex: number): void {
  writer.byte(OP.call);
  writer.u32(functionIndex);
}

/** Takes the cost from the fuel and traps when none is left. */
function writeCharge(writer: ByteWriter, cost: number, { fuelGlobal }: Appended): void {
  writer.byte(OP.globalGet);
  writer.u32(fuelGlobal);
  writer.byte(OP.i64Const);
  writer.s32(Math.min(Math.max(cost, 1), SEGMENT_COST_MAX));
  writer.byte(OP.i64Sub);
  writer.byte(OP.globalSet);
  writer.u32(fuelGlobal);
  writeFuelCheck(writer, fuelGlobal);
}

export function writeFuelCheck(writer: ByteWriter, fuelGlobal: number): void {
  writer.byte(OP.globalGet);
  writer.u32(fuelGlobal);
  writer.byte(OP.i64Const);
  writer.s32(0);
  writer.byte(OP.i64LtS);
  writeTrapIf(writer);
}

function writeEnter(writer: ByteWriter, depth: number, appended: Appended): void {
  writeDepthChange(writer, OP.i32Add, depth, appended);
  writer.byte(OP.globalGet);
  writer.u32(appended.depthGlobal);
  writer.byte(OP.i32Const);
  writer.s32(appended.callDepthMax);
  writer.byte(OP.i32GtS);
  writeTrapIf(writer);
}

function writeDepthChange(
  writer: ByteWriter,
  operation: number,
  depth: number,
  { depthGlobal }: Appended,
): void {
  writer.byte(OP.globalGet);
  writer.u32(depthGlobal);
  writer.byte(OP.i32Const);
  writer.s32(depth);
  writer.byte(operation);
  writer.byte(OP.globalSet);
  writer.u32(depthGlobal);
}

function writeTrapIf(writer: ByteWriter): void {
  writer.byte(OP.if);
  writer.byte(VOID_BLOCK);
  writer.byte(OP.unreachable);
  writer.byte(OP.end);
}
