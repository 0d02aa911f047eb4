import {
  begin,
  growMemory,
  handle,
  meterBytes,
  meterElements,
  readDepth,
  readFloat,
  readFuel,
  writeFloat,
  type AppendedFunction,
} from "./appended-functions.ts";
import { HOST_EXPORT, globalSetter } from "./host-exports.ts";
import type { Appended } from "./meter-body.ts";
import { mutableGlobals } from "./module-info.ts";
import {
  formatFunctionType,
  type ExportEntry,
  type FunctionType,
  type ModuleModel,
} from "./module-model.ts";
import type { RewriteLimits } from "./structure.ts";

/** What the rewriter appends, with the indices it will have. */
export interface Additions {
  readonly types: readonly FunctionType[];
  readonly functions: readonly AppendedFunction[];
  readonly exports: readonly ExportEntry[];
  readonly indices: Appended;
  /** Finds a type of the module, or appends it. */
  readonly typeIndexOf: (type: FunctionType) => number;
}

const HANDLE_TYPE = "(i32, i32) -> i32";
const INITIALIZE_TYPE = "() -> ()";

export function planAdditions(model: ModuleModel, limits: RewriteLimits): Additions {
  const functions: AppendedFunction[] = [];
  const exports: ExportEntry[] = [];
  const fuelGlobal = model.globals.length;
  const depthGlobal = fuelGlobal + 1;
  const append = (added: AppendedFunction): number =>
    model.functions.length + functions.push(added) - 1;
  const publish = (name: string, added: AppendedFunction): void => {
    exports.push({ name, kind: "function", index: append(added) });
  };

  const meter = append(meterElements(fuelGlobal, limits.tableElementsMax));
  const indices: Appended = {
    fuelGlobal,
    depthGlobal,
    meterElements: meter,
    meterBytes: append(meterBytes(fuelGlobal, limits.memoryPagesMax)),
    // Without a memory nothing can grow it.
    growMemory: model.memories.length > 0 ? append(growMemory(fuelGlobal)) : meter,
    callDepthMax: limits.callDepthMax,
  };
  const initialize = findFunction(model, "_initialize", INITIALIZE_TYPE);
  const initializers = [model.start, initialize].filter((index) => index !== undefined);
  publish(HOST_EXPORT.begin, begin(fuelGlobal, depthGlobal));
  publish(HOST_EXPORT.initialize, begin(fuelGlobal, depthGlobal, initializers));
  publish(HOST_EXPORT.fuel, readFuel(fuelGlobal));
  publish(HOST_EXPORT.depth, readDepth(depthGlobal));
  const handler = findFunction(model, "caxton_handle", HANDLE_TYPE);
  if (handler !== undefined) {
    publish(HOST_EXPORT.handle, handle(fuelGlobal, depthGlobal, handler));
  }
  if (model.memories.length > 0)
    exports.push({ name: HOST_EXPORT.memory, kind: "memory", index: 0 });
  for (const { exportName, index, type } of mutableGlobals(model)) {
    if (type === "f32" || type === "f64") {
      publish(exportName, readFloat(index, type));
      publish(globalSetter(exportName), writeFloat(index, type));
    } else {
      exports.push({ name: exportName, kind: "global", index });
    }
  }
  const { types, typeIndexOf } = typeTable(model);
  return { types, functions, exports, indices, typeIndexOf };
}

function typeTable(model: ModuleModel): Pick<Additions, "types" | "typeIndexOf"> {
  const types: FunctionType[] = [];
  const known = new Map<string, number>();
  for (const [index, type] of model.types.entries()) {
    const text = formatFunctionType(type);
    if (!known.has(text)) known.set(text, index);
  }
  const typeIndexOf = (type: FunctionType): number => {
    const text = formatFunctionType(type);
    const found = known.get(text);
    if (found !== undefined) return found;
    const index = model.types.length + types.push(type) - 1;
    known.set(text, index);
    return index;
  };
  return { types, typeIndexOf };
}

/** The function a module exports under the name, if it has that type. */
function findFunction(model: ModuleModel, name: string, type: string): number | undefined {
  const entry = model.exports.find((one) => one.kind === "function" && one.name === name);
  const typeIndex = entry && model.functions[entry.index];
  const found = typeIndex === undefined ? undefined : model.types[typeIndex];
  return found && formatFunctionType(found) === type ? entry?.index : undefined;
}
