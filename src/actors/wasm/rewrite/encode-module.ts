import type { Additions } from "./additions.ts";
import { ByteReader } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";
import {
  SECTION,
  VALUE_TYPE_BYTES,
  type FunctionType,
  type ModuleModel,
  type ValueType,
} from "./module-model.ts";
import { OP } from "./opcodes.ts";
import { capLimits, type RewriteLimits } from "./structure.ts";

const HEADER = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
const FUNCTION_FORM = 0x60;
const HAS_MAXIMUM = 1;
const EXPORT_KIND = { function: 0, table: 1, memory: 2, global: 3, tag: 4 } as const;

/**
 * Writes the rewritten module. The start function goes (the host runs it when it has given fuel), and custom
 * sections do, except the one that names functions in stack traces.
 */
export function encodeModule(
  model: ModuleModel,
  limits: RewriteLimits,
  additions: Additions,
  bodies: Uint8Array,
): Uint8Array {
  const typeIndexes = additions.functions.map((added) => additions.typeIndexOf(added.type));
  const out = new ByteWriter(model.bytes.length + bodies.length);
  const content = new ByteWriter(4096);
  const section = (id: number, write: () => void): void => {
    content.clear();
    write();
    out.byte(id);
    out.u32(content.length);
    out.copy(content.written);
  };
  const same = (id: number): void => {
    const span = model.sections.get(id);
    if (span) section(id, () => content.copy(model.bytes, span.start, span.end));
  };
  const extended = (id: number, added: number, write: () => void): void =>
    section(id, () => {
      writeExtended(content, model, id, added);
      write();
    });

  for (const byte of HEADER) out.byte(byte);
  extended(SECTION.type, additions.types.length, () => {
    for (const type of additions.types) writeFunctionType(content, type);
  });
  same(SECTION.import);
  extended(SECTION.function, typeIndexes.length, () => {
    for (const index of typeIndexes) content.u32(index);
  });
  if (model.tables.length > 0) {
    section(SECTION.table, () => writeTables(content, model, limits.tableElementsMax));
  }
  if (model.memories.length > 0) {
    section(SECTION.memory, () => writeMemories(content, model, limits.memoryPagesMax));
  }
  extended(SECTION.global, 2, () => {
    writeZeroGlobal(content, "i64", OP.i64Const);
    writeZeroGlobal(content, "i32", OP.i32Const);
  });
  section(SECTION.export, () => {
    const exports = [...model.exports, ...additions.exports];
    content.u32(exports.length);
    for (const { name, kind, index } of exports) {
      content.name(name);
      content.byte(EXPORT_KIND[kind]);
      content.u32(index);
    }
  });
  same(SECTION.element);
  same(SECTION.dataCount);
  section(SECTION.code, () => {
    content.u32(model.bodies.length + additions.functions.length);
    content.copy(bodies);
    for (const { body } of additions.functions) {
      content.u32(body.length);
      content.copy(body);
    }
  });
  same(SECTION.data);
  if (model.names) out.copy(model.bytes, model.names.start, model.names.end);
  return out.written.slice();
}

/** The section's own entries behind the new count. */
function writeExtended(content: ByteWriter, model: ModuleModel, id: number, added: number): void {
  const span = model.sections.get(id);
  if (span === undefined) {
    content.u32(added);
    return;
  }
  const reader = new ByteReader(model.bytes, span.start, span.end);
  content.u32(reader.u32() + added);
  content.copy(model.bytes, reader.offset, span.end);
}

function writeFunctionType(content: ByteWriter, { params, results }: FunctionType): void {
  content.byte(FUNCTION_FORM);
  for (const types of [params, results]) {
    content.u32(types.length);
    for (const type of types) content.byte(VALUE_TYPE_BYTES[type]);
  }
}

function writeTables(content: ByteWriter, model: ModuleModel, cap: number): void {
  content.u32(model.tables.length);
  for (const table of model.tables) {
    content.byte(VALUE_TYPE_BYTES[table.elementType]);
    writeLimits(content, capLimits(table, cap));
  }
}

function writeMemories(content: ByteWriter, model: ModuleModel, cap: number): void {
  content.u32(model.memories.length);
  for (const memory of model.memories) writeLimits(content, capLimits(memory, cap));
}

function writeLimits(content: ByteWriter, { min, max }: { min: number; max: number }): void {
  content.byte(HAS_MAXIMUM);
  content.u32(min);
  content.u32(max);
}

function writeZeroGlobal(content: ByteWriter, type: ValueType, constant: number): void {
  const MUTABLE = 1;
  for (const byte of [VALUE_TYPE_BYTES[type], MUTABLE, constant, 0, OP.end]) content.byte(byte);
}
