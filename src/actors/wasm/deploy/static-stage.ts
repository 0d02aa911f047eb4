import type { Finding } from "../../../base/errors.ts";
import { nearest } from "../../../base/nearest.ts";
import { CORE_ABI, MEMORY_EXPORT, type ModuleAbi } from "../abi-exports.ts";
import { COMPONENT_ABI } from "../component/component-abi.ts";
import { unwrapComponent } from "../component/unwrap-component.ts";
import { DOORS } from "../doors.ts";
import type { Door } from "../doors.ts";
import {
  formatFunctionType,
  type FunctionType,
  type ImportEntry,
  type ModuleModel,
} from "../rewrite/module-model.ts";
import { tryRewriteModule, type RewrittenModule } from "../rewrite/rewriter.ts";
import type { RewriteLimits } from "../rewrite/structure.ts";

export interface StaticLimits extends RewriteLimits {
  readonly moduleBytesMax: number;
}

export interface StaticOutcome {
  /** All of them; the module may run when there are none. */
  readonly findings: readonly Finding[];
  readonly module: RewrittenModule | undefined;
  readonly door: Door;
}

const MAGIC = [0x00, 0x61, 0x73, 0x6d];
const COMPONENT_LAYER = 1;
const CORE_VERSION = 1;
const COMPONENT_VERSION = 13;

/** What can be said of a module from its bytes alone. A language's own module is the node's, not an upload. */
export function runStaticStage(
  bytes: Uint8Array,
  limits: StaticLimits,
  door: Door = "core",
): StaticOutcome {
  const { ownExports } = DOORS[door];
  if (ownExports !== undefined) return { ...tryRewriteModule(bytes, limits, ownExports), door };
  const wrong = checkHeader(bytes, limits.moduleBytesMax);
  if (wrong !== undefined) return { findings: [wrong], module: undefined, door: "core" };
  if (layerOf(bytes) !== COMPONENT_LAYER)
    return { ...checkModule(bytes, CORE_ABI, limits), door: "core" };
  const { findings, module } = unwrapComponent(bytes);
  if (module === undefined) return { findings, module, door: "component" };
  const checked = checkModule(module, COMPONENT_ABI, limits);
  const all = [...findings, ...checked.findings];
  const passed = all.length === 0 ? checked.module : undefined;
  return { findings: all, module: passed, door: "component" };
}

function checkModule(
  bytes: Uint8Array,
  abi: ModuleAbi,
  limits: RewriteLimits,
): Omit<StaticOutcome, "door"> {
  const { model, findings, module } = tryRewriteModule(bytes, limits);
  const all = [...findings, ...checkImports(model, abi), ...checkExports(model, abi)];
  return { findings: all, module: all.length === 0 ? module : undefined };
}

function layerOf(bytes: Uint8Array): number {
  return bytes[6]! | (bytes[7]! << 8);
}

/** Size and header: when one of these is wrong, nothing else means anything. */
function checkHeader(bytes: Uint8Array, bytesMax: number): Finding | undefined {
  const at = "module";
  if (bytes.length > bytesMax) {
    return {
      at,
      message: `The module has ${bytes.length} bytes; limits.moduleBytesMax is ${bytesMax}.`,
      hint: "Strip debug sections, or raise limits.moduleBytesMax in the server's configuration.",
    };
  }
  if (MAGIC.some((byte, index) => bytes[index] !== byte)) {
    return {
      at,
      message: "Not WebAssembly: the file does not begin with the bytes 00 61 73 6d.",
      hint: "Deploy a compiled .wasm file; text (.wat) and other object files have to be compiled first.",
    };
  }
  if (bytes.length < 8) {
    return { at, message: "The module is truncated.", hint: "Build or copy the file again." };
  }
  const version = bytes[4]! | (bytes[5]! << 8);
  const isComponent = layerOf(bytes) === COMPONENT_LAYER;
  const known = isComponent ? COMPONENT_VERSION : CORE_VERSION;
  if (version === known && (isComponent || layerOf(bytes) === 0)) return undefined;
  const what = isComponent ? "component" : "module";
  return {
    at,
    message: `The ${what} has version ${version} of the binary format; version ${known} is known.`,
    hint: `Build the ${what} with a released compiler.`,
  };
}

/** Imports of functions the server does not have, or has with another type. */
export function checkImports(model: ModuleModel, abi: ModuleAbi): Finding[] {
  return model.imports.flatMap((entry) => {
    const finding = entry.kind === "function" ? checkImport(entry, abi) : undefined;
    return finding ? [finding] : [];
  });
}

function checkImport({ module, name, type }: ImportEntry, abi: ModuleAbi): Finding | undefined {
  const at = `import ${module}.${name}`;
  if (!Object.hasOwn(abi.imports, module)) {
    const guess = nearest(module, Object.keys(abi.imports));
    return {
      at,
      message: `The module imports ${module}.${name}, but there is no module ${module} to import from.`,
      hint: guess === undefined ? abi.hint : `Did you mean ${guess}? ${abi.hint}`,
    };
  }
  const table = abi.imports[module]!;
  if (!Object.hasOwn(table, name)) {
    const guess = nearest(name, Object.keys(table));
    return {
      at,
      message: `The module imports ${module}.${name}, which the server does not have.`,
      hint: guess === undefined ? abi.hint : `Did you mean ${module}.${guess}? ${abi.hint}`,
    };
  }
  return checkType(at, `imports ${module}.${name}`, type, table[name]!, abi);
}

function checkExports(model: ModuleModel, abi: ModuleAbi): Finding[] {
  const findings: Finding[] = [];
  const add = (finding: Finding | undefined): void => {
    if (finding) findings.push(finding);
  };
  const memory = model.exports.find(({ name }) => name === MEMORY_EXPORT);
  if (memory?.kind !== "memory") {
    add({
      at: `export ${MEMORY_EXPORT}`,
      message: `The module does not export its memory as ${MEMORY_EXPORT}.`,
      hint: abi.hint,
    });
  }
  for (const [name, type] of Object.entries(abi.required)) {
    const found = hasExport(model, name);
    add(found ? checkExport(model, name, type, abi) : missingExport(model, name, type, abi));
  }
  for (const [name, type] of Object.entries(abi.optional)) {
    if (hasExport(model, name)) add(checkExport(model, name, type, abi));
  }
  return findings;
}

function hasExport(model: ModuleModel, name: string): boolean {
  return model.exports.some((entry) => entry.name === name);
}

function missingExport(
  model: ModuleModel,
  name: string,
  type: FunctionType,
  abi: ModuleAbi,
): Finding {
  const others = model.exports
    .filter((entry) => entry.kind === "function" && !Object.hasOwn(abi.required, entry.name))
    .map((entry) => entry.name);
  const guess = nearest(name, others);
  const command = others.includes("_start")
    ? "This is a WASI command: build a reactor (clang: -mexec-model=reactor). "
    : "";
  return {
    at: `export ${name}`,
    message: `The module does not export ${name} ${formatFunctionType(type)}.`,
    hint: guess === undefined ? `${command}${abi.hint}` : `Is it the export ${guess}? ${abi.hint}`,
  };
}

function checkExport(
  model: ModuleModel,
  name: string,
  type: FunctionType,
  abi: ModuleAbi,
): Finding | undefined {
  const entry = model.exports.find((one) => one.name === name)!;
  const at = `export ${name}`;
  if (entry.kind !== "function") {
    const message = `The module exports ${name} as a ${entry.kind}; it must be a function.`;
    return { at, message, hint: abi.hint };
  }
  return checkType(at, `exports ${name}`, model.types[model.functions[entry.index]!], type, abi);
}

/** A type that could not be read is spoken of elsewhere. */
function checkType(
  at: string,
  what: string,
  found: FunctionType | undefined,
  wanted: FunctionType,
  abi: ModuleAbi,
): Finding | undefined {
  if (found === undefined || formatFunctionType(found) === formatFunctionType(wanted)) {
    return undefined;
  }
  const message = `The module ${what} as ${formatFunctionType(found)}; it must be ${formatFunctionType(wanted)}.`;
  return { at, message, hint: abi.hint };
}
