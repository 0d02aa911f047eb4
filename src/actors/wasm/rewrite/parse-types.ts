import { FormatError, type ByteReader } from "./byte-reader.ts";
import { FeatureRefused } from "./features.ts";
import type { FunctionType, GlobalType, Limits, ValueType } from "./module-model.ts";

const BYTE_VALUE_TYPES = new Map<number, ValueType>([
  [0x7f, "i32"],
  [0x7e, "i64"],
  [0x7d, "f32"],
  [0x7c, "f64"],
  [0x7b, "v128"],
  [0x70, "funcref"],
  [0x6f, "externref"],
]);

export function readValueType(reader: ByteReader): ValueType {
  const at = reader.offset;
  const byte = reader.byte();
  const type = BYTE_VALUE_TYPES.get(byte);
  if (type !== undefined) return type;
  if (byte === 0x69 || byte === 0x74) throw new FeatureRefused("exceptions");
  if (byte === 0x68 || byte === 0x75) throw new FeatureRefused("stackSwitching");
  if (byte >= 0x60 && byte <= 0x73) throw new FeatureRefused("garbageCollection");
  throw new FormatError(at, `has an unknown value type 0x${byte.toString(16)}`);
}

export function readFunctionType(reader: ByteReader): FunctionType {
  const at = reader.offset;
  const form = reader.byte();
  if (form === 0x60) return { params: readValueTypes(reader), results: readValueTypes(reader) };
  if (form === 0x5d) throw new FeatureRefused("stackSwitching");
  if (form >= 0x4c && form <= 0x5f) throw new FeatureRefused("garbageCollection");
  throw new FormatError(at, `has an unknown form of type 0x${form.toString(16)}`);
}

function readValueTypes(reader: ByteReader): ValueType[] {
  const types: ValueType[] = [];
  const count = reader.u32();
  for (let i = 0; i < count; i += 1) types.push(readValueType(reader));
  return types;
}

export function readLimits(reader: ByteReader): Limits {
  const at = reader.offset;
  const flags = reader.byte();
  if (flags > 0x0f) throw new FormatError(at, `has unknown limits 0x${flags.toString(16)}`);
  if (flags & 2) throw new FeatureRefused("threads");
  if (flags & 4) throw new FeatureRefused("memory64");
  if (flags & 8) throw new FeatureRefused("pageSizes");
  const min = reader.u32();
  return { min, max: flags & 1 ? reader.u32() : undefined };
}

export function readGlobalType(reader: ByteReader): GlobalType {
  const type = readValueType(reader);
  const at = reader.offset;
  const flags = reader.byte();
  if (flags & 2) throw new FeatureRefused("threads");
  if (flags > 1) throw new FormatError(at, `has an unknown mutability 0x${flags.toString(16)}`);
  return { type, mutable: flags === 1 };
}

/** Steps over the expression that gives a global, an offset or an element its value. */
export function skipConstant(reader: ByteReader): void {
  for (;;) {
    const at = reader.offset;
    const opcode = reader.byte();
    switch (opcode) {
      case 0x0b:
        return;
      case 0x23: // global.get
      case 0x41: // i32.const
      case 0x42: // i64.const
      case 0xd0: // ref.null
      case 0xd2: // ref.func
        reader.skipNumber();
        break;
      case 0x43: // f32.const
        reader.skip(4);
        break;
      case 0x44: // f64.const
        reader.skip(8);
        break;
      case 0x6a: // i32.add, sub, mul
      case 0x6b:
      case 0x6c:
      case 0x7c: // i64.add, sub, mul
      case 0x7d:
      case 0x7e:
        break;
      case 0xfb:
        throw new FeatureRefused("garbageCollection");
      case 0xfd:
        if (reader.u32() !== 12) throw new FormatError(at, "has an unknown vector constant");
        reader.skip(16);
        break;
      default:
        throw new FormatError(at, `has an unknown constant 0x${opcode.toString(16)}`);
    }
  }
}
