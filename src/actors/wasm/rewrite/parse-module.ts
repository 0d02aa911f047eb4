import { BOUNDS } from "./bounds.ts";
import { ByteReader, FormatError } from "./byte-reader.ts";
import { FEATURES, FeatureRefused } from "./features.ts";
import type { Findings } from "./findings.ts";
import { SECTION, type ExternalKind, type ModuleModel, type Span } from "./module-model.ts";
import {
  readFunctionType,
  readGlobalType,
  readLimits,
  readValueType,
  skipConstant,
} from "./parse-types.ts";

const HEADER_BYTES = 8;

const EXTERNAL_KINDS: readonly ExternalKind[] = ["function", "table", "memory", "global", "tag"];

type SectionParser = (reader: ByteReader, model: ModuleModel, findings: Findings) => void;

/** Sections not listed are copied as they are, or dropped when they are custom. */
const PARSERS = new Map<number, { readonly name: string; readonly parse: SectionParser }>([
  [SECTION.type, { name: "type section", parse: parseTypes }],
  [SECTION.import, { name: "import section", parse: parseImports }],
  [SECTION.function, { name: "function section", parse: parseFunctions }],
  [SECTION.table, { name: "table section", parse: parseTables }],
  [SECTION.memory, { name: "memory section", parse: parseMemories }],
  [SECTION.tag, { name: "tag section", parse: () => refuseTags() }],
  [SECTION.global, { name: "global section", parse: parseGlobals }],
  [SECTION.export, { name: "export section", parse: parseExports }],
  [SECTION.start, { name: "start section", parse: parseStart }],
  [SECTION.element, { name: "element section", parse: parseElements }],
  [SECTION.code, { name: "code section", parse: parseCode }],
]);

const COPIED: ReadonlySet<number> = new Set([SECTION.data, SECTION.dataCount]);

/** Reads everything but the instructions. What can't be read becomes a finding; never throws. */
export function parseModule(bytes: Uint8Array, findings: Findings): ModuleModel {
  const model: ModuleModel = {
    bytes,
    types: [],
    imports: [],
    functions: [],
    functionsImported: 0,
    tables: [],
    memories: [],
    globals: [],
    exports: [],
    start: undefined,
    bodies: [],
    sections: new Map(),
    names: undefined,
    complete: true,
  };
  const reader = new ByteReader(bytes, Math.min(HEADER_BYTES, bytes.length));
  while (!reader.done) {
    const header = reader.offset;
    const section = guard("module", model, findings, () => {
      const id = reader.byte();
      return { id, content: reader.part(reader.u32()) };
    });
    if (section === undefined) break;
    const { id, content } = section;
    if (id === SECTION.custom) keepNames(model, header, content);
    else readSection(id, content, model, findings);
  }
  checkCounts(model, findings);
  return model;
}

function readSection(
  id: number,
  content: ByteReader,
  model: ModuleModel,
  findings: Findings,
): void {
  model.sections.set(id, { start: content.offset, end: content.end });
  const parser = PARSERS.get(id);
  if (parser !== undefined) {
    guard(parser.name, model, findings, () => parser.parse(content, model, findings));
  } else if (!COPIED.has(id)) {
    model.complete = false;
    findings.add(
      `section ${id}`,
      `The module has a section of an unknown kind (${id}).`,
      "Compile for the WebAssembly 2.0 feature set.",
    );
  }
}

/** Turns what a reader throws into a finding. */
function guard<T>(
  at: string,
  model: ModuleModel,
  findings: Findings,
  read: () => T,
): T | undefined {
  try {
    return read();
  } catch (error) {
    model.complete = false;
    if (error instanceof FeatureRefused) {
      findings.add(at, error.message, FEATURES[error.feature].hint);
    } else if (error instanceof FormatError) {
      findings.add(
        at,
        `The ${at} ${error.message} (at byte ${error.offset}).`,
        "Build the module again; the file may be truncated.",
      );
    } else throw error;
    return undefined;
  }
}

function keepNames(model: ModuleModel, header: number, content: ByteReader): void {
  const { offset } = content;
  const isName = content.end - offset >= 5 && content.bytes[offset] === 4;
  if (!isName) return;
  const text = String.fromCharCode(...content.bytes.subarray(offset + 1, offset + 5));
  if (text === "name") model.names = { start: header, end: content.end };
}

function parseTypes(reader: ByteReader, model: ModuleModel): void {
  const count = reader.u32();
  for (let i = 0; i < count; i += 1) model.types.push(readFunctionType(reader));
}

function parseImports(reader: ByteReader, model: ModuleModel): void {
  const count = reader.u32();
  for (let i = 0; i < count; i += 1) {
    const module = reader.name();
    const name = reader.name();
    const kind = readKind(reader);
    if (kind === "function") {
      const typeIndex = reader.u32();
      model.functions.push(typeIndex);
      model.functionsImported += 1;
      model.imports.push({ module, name, kind, type: model.types[typeIndex] });
      continue;
    }
    model.imports.push({ module, name, kind, type: undefined });
    if (kind === "table") {
      const elementType = readValueType(reader);
      model.tables.push({ elementType, ...readLimits(reader) });
    } else if (kind === "memory") model.memories.push(readLimits(reader));
    else if (kind === "global") model.globals.push(readGlobalType(reader));
    else refuseTags();
  }
}

function readKind(reader: ByteReader): ExternalKind {
  const at = reader.offset;
  const byte = reader.byte();
  const kind = EXTERNAL_KINDS[byte];
  if (kind === undefined) throw new FormatError(at, `names an unknown kind 0x${byte.toString(16)}`);
  return kind;
}

function refuseTags(): never {
  throw new FeatureRefused("exceptions");
}

function parseFunctions(reader: ByteReader, model: ModuleModel): void {
  const count = reader.u32();
  for (let i = 0; i < count; i += 1) model.functions.push(reader.u32());
}

function parseTables(reader: ByteReader, model: ModuleModel): void {
  const count = reader.u32();
  for (let i = 0; i < count; i += 1) {
    // A table with its own initial value, which only typed references need.
    if (reader.bytes[reader.offset] === 0x40) throw new FeatureRefused("garbageCollection");
    const elementType = readValueType(reader);
    model.tables.push({ elementType, ...readLimits(reader) });
  }
}

function parseMemories(reader: ByteReader, model: ModuleModel): void {
  const count = reader.u32();
  for (let i = 0; i < count; i += 1) model.memories.push(readLimits(reader));
}

function parseGlobals(reader: ByteReader, model: ModuleModel): void {
  const count = reader.u32();
  for (let i = 0; i < count; i += 1) {
    model.globals.push(readGlobalType(reader));
    skipConstant(reader);
  }
}

function parseExports(reader: ByteReader, model: ModuleModel): void {
  const count = reader.u32();
  for (let i = 0; i < count; i += 1) {
    const name = reader.name();
    const kind = readKind(reader);
    model.exports.push({ name, kind, index: reader.u32() });
  }
}

function parseStart(reader: ByteReader, model: ModuleModel): void {
  model.start = reader.u32();
}

/** Nothing of it is kept: what matters is that it holds no references beyond the plain ones. */
function parseElements(reader: ByteReader, _model: ModuleModel, findings: Findings): void {
  const count = reader.u32();
  let elements = 0;
  for (let i = 0; i < count; i += 1) {
    const flags = reader.u32();
    if (flags > 7) throw new FormatError(reader.offset, "has an unknown kind of segment");
    const active = (flags & 1) === 0;
    const expressions = (flags & 4) !== 0;
    if (active && flags & 2) reader.skipNumber();
    if (active) skipConstant(reader);
    if (flags & 3) {
      if (expressions) readValueType(reader);
      else reader.byte();
    }
    const length = reader.u32();
    elements += length;
    for (let k = 0; k < length; k += 1) {
      if (expressions) skipConstant(reader);
      else reader.skipNumber();
    }
  }
  checkCount(findings, "table elements", elements, BOUNDS.elementsMax);
}

function parseCode(reader: ByteReader, model: ModuleModel): void {
  const count = reader.u32();
  for (let i = 0; i < count; i += 1) {
    const body = reader.part(reader.u32());
    const span: Span = { start: body.offset, end: body.end };
    model.bodies.push(span);
  }
}

function checkCounts(model: ModuleModel, findings: Findings): void {
  checkCount(findings, "types", model.types.length, BOUNDS.typesMax);
  checkCount(findings, "imports", model.imports.length, BOUNDS.importsMax);
  checkCount(findings, "functions", model.functions.length, BOUNDS.functionsMax);
  checkCount(findings, "tables", model.tables.length, BOUNDS.tablesMax);
  checkCount(findings, "globals", model.globals.length, BOUNDS.globalsMax);
  checkCount(findings, "exports", model.exports.length, BOUNDS.exportsMax);
}

function checkCount(findings: Findings, what: string, count: number, max: number): void {
  if (count <= max) return;
  findings.add(
    "module",
    `The module has ${count} ${what}; ${max} are allowed.`,
    "Split the agent into several, or let the linker drop what is not used.",
  );
}
