import { globalExport } from "./host-exports.ts";
import type {
  ExportEntry,
  ImportEntry,
  ModuleModel,
  TableType,
  ValueType,
} from "./module-model.ts";
import { capLimits, type RewriteLimits } from "./structure.ts";

/** What the rest of the server needs to know of a rewritten module. */
export interface ModuleInfo {
  /** Of the original. */
  readonly imports: readonly ImportEntry[];
  /** Of the original, without what the rewriter appended. */
  readonly exports: readonly ExportEntry[];
  readonly memory: MemoryInfo | undefined;
  readonly tables: readonly TableType[];
  readonly mutableGlobals: readonly MutableGlobal[];
  /** Why memory and globals are not all of its state; empty when they are. */
  readonly replayOnlyReasons: readonly string[];
  readonly replayOnly: boolean;
  readonly functions: number;
  readonly loops: number;
  /** It has a start function, which `caxton:init` runs. */
  readonly hasStart: boolean;
}

export interface MemoryInfo {
  readonly pagesMin: number;
  readonly pagesMax: number;
}

export interface MutableGlobal {
  readonly index: number;
  readonly exportName: string;
  readonly type: "i32" | "i64" | "f32" | "f64";
}

export function describeModule(
  model: ModuleModel,
  limits: RewriteLimits,
  loops: number,
  replayOnly: ReadonlySet<string>,
): ModuleInfo {
  const [memory] = model.memories;
  const reasons = [...[...replayOnly].sort(), ...globalReasons(model)];
  return {
    imports: model.imports,
    exports: model.exports,
    memory: memory && memoryInfo(capLimits(memory, limits.memoryPagesMax)),
    tables: model.tables.map((table) => ({
      ...table,
      ...capLimits(table, limits.tableElementsMax),
    })),
    mutableGlobals: mutableGlobals(model),
    replayOnlyReasons: reasons,
    replayOnly: reasons.length > 0,
    functions: model.bodies.length,
    loops,
    hasStart: model.start !== undefined,
  };
}

function memoryInfo({ min, max }: { min: number; max: number }): MemoryInfo {
  return { pagesMin: min, pagesMax: max };
}

/** Those the host can read and write from outside. */
export function mutableGlobals(model: ModuleModel): MutableGlobal[] {
  const found: MutableGlobal[] = [];
  for (const [index, { type, mutable }] of model.globals.entries()) {
    if (mutable && isNumber(type)) found.push({ index, exportName: globalExport(index), type });
  }
  return found;
}

function globalReasons(model: ModuleModel): string[] {
  const types = model.globals.filter((global) => global.mutable).map((global) => global.type);
  const hidden = new Set(types.filter((type) => !isNumber(type)));
  return [...hidden].sort().map((type) => `mutable ${type} global`);
}

function isNumber(type: ValueType): type is MutableGlobal["type"] {
  return type === "i32" || type === "i64" || type === "f32" || type === "f64";
}
