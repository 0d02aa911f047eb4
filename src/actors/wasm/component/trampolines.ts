/**
 * The small core modules by which tools tie a component's main module to functions that need its memory:
 * one of trampolines, which call through a table, and one that fills the table afterwards. Seen through, both do nothing.
 */
import { ByteReader } from "../rewrite/byte-reader.ts";
import { Findings } from "../rewrite/findings.ts";
import { SECTION, type ModuleModel, type Span } from "../rewrite/module-model.ts";
import { parseModule } from "../rewrite/parse-module.ts";

const LOCAL_GET = 0x20;
const I32_CONST = 0x41;
const CALL_INDIRECT = 0x11;
const END = 0x0b;

/** For each exported trampoline the place in the table that it calls. Undefined for any other module. */
export function trampolinesOf(bytes: Uint8Array): ReadonlyMap<string, number> | undefined {
  const model = readWhole(bytes);
  if (model === undefined || model.imports.length > 0 || model.tables.length !== 1)
    return undefined;
  const places = new Map<string, number>();
  for (const { name, kind, index } of model.exports) {
    if (kind !== "function") continue;
    const place = trampolinePlace(model, index);
    if (place === undefined) return undefined;
    places.set(name, place);
  }
  return places;
}

/** The names of the imported functions by their place in the imported table. Undefined for any other module. */
export function tableFilling(bytes: Uint8Array): readonly string[] | undefined {
  const model = readWhole(bytes);
  if (model === undefined || model.functionsImported !== model.functions.length) return undefined;
  const names = model.imports.filter(({ kind }) => kind === "function").map(({ name }) => name);
  const filled = elementFunctions(model);
  return filled?.map((index) => names[index] ?? "");
}

/** Nothing but functions and a table: no memory and no code of its own accord. */
function readWhole(bytes: Uint8Array): ModuleModel | undefined {
  const findings = new Findings();
  const model = parseModule(bytes, findings);
  const known = model.complete && findings.empty;
  const plain = model.memories.length === 0 && model.globals.length === 0;
  return known && plain && model.start === undefined ? model : undefined;
}

function trampolinePlace(model: ModuleModel, index: number): number | undefined {
  const type = model.types[model.functions[index]!];
  const body = model.bodies[index];
  if (type === undefined || body === undefined) return undefined;
  return reading(model.bytes, body, (reader) => {
    const isPlain =
      reader.u32() === 0 &&
      type.params.every((_, i) => reader.byte() === LOCAL_GET && reader.u32() === i);
    if (!isPlain || reader.byte() !== I32_CONST) return undefined;
    const place = reader.u32();
    const calls = reader.byte() === CALL_INDIRECT && reader.u32() === model.functions[index];
    return calls && reader.u32() === 0 && reader.byte() === END && reader.done ? place : undefined;
  });
}

/** The one segment of elements, which fills the table from its beginning. */
function elementFunctions(model: ModuleModel): number[] | undefined {
  const section = model.sections.get(SECTION.element);
  if (section === undefined) return undefined;
  return reading(model.bytes, section, (reader) => {
    const isFromZero =
      reader.u32() === 1 &&
      reader.u32() === 0 &&
      reader.byte() === I32_CONST &&
      reader.u32() === 0 &&
      reader.byte() === END;
    if (!isFromZero) return undefined;
    const functions: number[] = [];
    for (let left = reader.u32(); left > 0; left--) functions.push(reader.u32());
    return functions;
  });
}

function reading<T>(bytes: Uint8Array, { start, end }: Span, read: (reader: ByteReader) => T): T {
  return read(new ByteReader(bytes, start, end));
}
