import type { Finding } from "../../../base/errors.ts";
import { nearest } from "../../../base/nearest.ts";
import { MEMORY_EXPORT, OPTIONAL_EXPORTS, REQUIRED_EXPORTS } from "../abi-exports.ts";
import { ABI_IMPORTS } from "../abi-imports.ts";
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
}

const MAGIC = [0x00, 0x61, 0x73, 0x6d];
const COMPONENT_LAYER = 1;
const CORE_VERSION = 1;
const ABI_HINT = "docs/agent-abi.md lists what a module must export and may import.";

/** What can be said of a module from its bytes alone. A language's own module is the node's, not an upload. */
export function runStaticStage(
  bytes: Uint8Array,
  limits: StaticLimits,
  door: Door = "core",
): StaticOutcome {
  const { ownExports } = DOORS[door];
  if (ownExports !== undefined) return tryRewriteModule(bytes, limits, ownExports);
  const wrong = checkHeader(bytes, limits.moduleBytesMax);
  if (wrong !== undefined) return { findings: [wrong], module: undefined };
  const { model, findings, module } = tryRewriteModule(bytes, limits);
  const all = [...findings, ...checkImports(model), ...checkExports(model)];
  return { findings: all, module: all.length === 0 ? module : undefined };
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
  const [version, layer] = [bytes[4]! | (bytes[5]! << 8), bytes[6]! | (bytes[7]! << 8)];
  if (layer === COMPONENT_LAYER) {
    return {
      at,
      message: "This is a WebAssembly component; only core modules are accepted so far.",
      hint: "Components come in a later version; build a core module for docs/agent-abi.md.",
    };
  }
  if (version !== CORE_VERSION || layer !== 0) {
    return {
      at,
      message: `The module has version ${version} of the binary format; version 1 is known.`,
      hint: "Build the module with a released compiler.",
    };
  }
  return undefined;
}

/** Imports of functions the server does not have, or has with another type. */
export function checkImports(model: ModuleModel): Finding[] {
  return model.imports.flatMap((entry) => {
    const finding = entry.kind === "function" ? checkImport(entry) : undefined;
    return finding ? [finding] : [];
  });
}

function checkImport({ module, name, type }: ImportEntry): Finding | undefined {
  const at = `import ${module}.${name}`;
  if (!Object.hasOwn(ABI_IMPORTS, module)) {
    const guess = nearest(module, Object.keys(ABI_IMPORTS));
    return {
      at,
      message: `The module imports ${module}.${name}, but there is no module ${module} to import from.`,
      hint: guess === undefined ? ABI_HINT : `Did you mean ${guess}? ${ABI_HINT}`,
    };
  }
  const table = ABI_IMPORTS[module]!;
  if (!Object.hasOwn(table, name)) {
    const guess = nearest(name, Object.keys(table));
    return {
      at,
      message: `The module imports ${module}.${name}, which the server does not have.`,
      hint: guess === undefined ? ABI_HINT : `Did you mean ${module}.${guess}? ${ABI_HINT}`,
    };
  }
  return checkType(at, `imports ${module}.${name}`, type, table[name]!);
}

function checkExports(model: ModuleModel): Finding[] {
  const findings: Finding[] = [];
  const add = (finding: Finding | undefined): void => {
    if (finding) findings.push(finding);
  };
  const memory = model.exports.find(({ name }) => name === MEMORY_EXPORT);
  if (memory?.kind !== "memory") {
    add({
      at: `export ${MEMORY_EXPORT}`,
      message: `The module does not export its memory as ${MEMORY_EXPORT}.`,
      hint: ABI_HINT,
    });
  }
  for (const [name, type] of Object.entries(REQUIRED_EXPORTS)) {
    add(hasExport(model, name) ? checkExport(model, name, type) : missingExport(model, name, type));
  }
  for (const [name, type] of Object.entries(OPTIONAL_EXPORTS)) {
    if (hasExport(model, name)) add(checkExport(model, name, type));
  }
  return findings;
}

function hasExport(model: ModuleModel, name: string): boolean {
  return model.exports.some((entry) => entry.name === name);
}

function missingExport(model: ModuleModel, name: string, type: FunctionType): Finding {
  const others = model.exports
    .filter((entry) => entry.kind === "function" && !Object.hasOwn(REQUIRED_EXPORTS, entry.name))
    .map((entry) => entry.name);
  const guess = nearest(name, others);
  const command = others.includes("_start")
    ? "This is a WASI command: build a reactor (clang: -mexec-model=reactor). "
    : "";
  return {
    at: `export ${name}`,
    message: `The module does not export ${name} ${formatFunctionType(type)}.`,
    hint: guess === undefined ? `${command}${ABI_HINT}` : `Is it the export ${guess}? ${ABI_HINT}`,
  };
}

function checkExport(model: ModuleModel, name: string, type: FunctionType): Finding | undefined {
  const entry = model.exports.find((one) => one.name === name)!;
  const at = `export ${name}`;
  if (entry.kind !== "function") {
    const message = `The module exports ${name} as a ${entry.kind}; it must be a function.`;
    return { at, message, hint: ABI_HINT };
  }
  return checkType(at, `exports ${name}`, model.types[model.functions[entry.index]!], type);
}

/** A type that could not be read is spoken of elsewhere. */
function checkType(
  at: string,
  what: string,
  found: FunctionType | undefined,
  wanted: FunctionType,
): Finding | undefined {
  if (found === undefined || formatFunctionType(found) === formatFunctionType(wanted)) {
    return undefined;
  }
  const message = `The module ${what} as ${formatFunctionType(found)}; it must be ${formatFunctionType(wanted)}.`;
  return { at, message, hint: ABI_HINT };
}
