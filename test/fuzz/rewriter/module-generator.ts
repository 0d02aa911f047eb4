import { CAXTON_IMPORTS } from "../../../src/actors/wasm/abi-imports.ts";
import { ModuleBuilder, i32, type Code, type WasmType } from "../../support/wasm-builder.ts";
import { CodeGenerator, type Signature } from "./code-generator.ts";
import type { Dice } from "./dice.ts";

const VALUE_TYPES: readonly WasmType[] = ["i32", "i32", "i32", "i64", "i64", "f32", "f64"];
const IMPORTS = ["now", "random", "send", "ask", "flag_get", "self"] as const;

/** A module for the rewriter: most are valid, many do too much of something. */
export function generateModule(dice: Dice): Uint8Array {
  const builder = new ModuleBuilder();
  const types = dice.chance(20)
    ? [...VALUE_TYPES, "v128" as const, "funcref" as const]
    : VALUE_TYPES;
  const signatures = dice.list(1, 5, () => generateSignature(dice, builder, types));
  const imported = generateImports(dice, builder);
  const functions = [...imported, ...dice.list(1, 6, () => dice.pick(signatures))];
  const globals = dice.list(0, 5, () => ({ type: dice.pick(types), mutable: dice.chance(80) }));
  for (const { type, mutable } of globals) builder.global(type, mutable, initial(type));
  const memory = generateMemory(dice, builder);
  const tables = generateTables(dice, builder);
  const functionCount = functions.length;
  const functionIndices = (): number[] => dice.list(0, 4, () => dice.below(functionCount));
  const elementSegments = tables > 0 ? dice.between(0, 2) : 0;
  // The active one, which is spent when code runs, has the first index.
  if (elementSegments > 0) builder.elements(0, functionIndices().slice(0, 2));
  if (elementSegments > 1) builder.passiveElements(functionIndices());
  const dataSegments = dice.chance(50) ? 1 : 0;
  if (dataSegments > 0) builder.passiveData([1, 2, 3, 4, 5, 6, 7]);
  const generator = new CodeGenerator(dice, {
    signatures,
    functions,
    globals,
    memory,
    tables,
    dataSegments,
    elementSegments,
  });
  for (const [position, { params, results }] of functions.slice(imported.length).entries()) {
    const locals = dice.list(0, 4, () => dice.pick(types));
    builder.function({
      params,
      results,
      locals: locals.map((type) => [1, type]),
      body: generator.body([...params, ...locals], results, dice.between(5, 120)),
      exported: exportName(position, results),
    });
  }
  const starts = functions.findIndex(({ params, results }) => params.length + results.length === 0);
  if (starts >= 0 && dice.chance(30)) builder.start(starts);
  return builder.build();
}

/** One function of a fitting type is the handler. */
function exportName(position: number, results: readonly WasmType[]): string {
  return position === 0 && results.length === 1 ? "caxton_handle" : `f${position}`;
}

function generateSignature(
  dice: Dice,
  builder: ModuleBuilder,
  types: readonly WasmType[],
): Signature {
  const params = dice.chance(20)
    ? (["i32", "i32"] as const)
    : dice.list(0, 3, () => dice.pick(types));
  const results = dice.list(0, dice.chance(20) ? 3 : 1, () => dice.pick(types));
  return { params, results, typeIndex: builder.type(params, results) };
}

function generateImports(dice: Dice, builder: ModuleBuilder): Signature[] {
  return dice.list(0, 2, () => {
    const name = dice.pick(IMPORTS);
    const { params, results } = CAXTON_IMPORTS[name];
    builder.importFunction("caxton", name, params, results);
    return { params, results, typeIndex: builder.type(params, results) };
  });
}

function generateMemory(dice: Dice, builder: ModuleBuilder): boolean {
  if (dice.chance(5)) return false;
  const min = dice.chance(4) ? dice.between(0, 100) : dice.between(0, 2);
  const max = dice.pick([undefined, min, min + 3, min + 3, 65_536]);
  builder.memory(min, max);
  if (dice.chance(3)) builder.memory(1);
  builder.export("memory", 2, 0);
  return true;
}

function generateTables(dice: Dice, builder: ModuleBuilder): number {
  const count = dice.pick([0, 1, 1, 2]);
  for (let index = 0; index < count; index += 1) {
    const min = dice.chance(3) ? 1000 : dice.between(0, 6);
    builder.table(min, dice.pick([undefined, min, min + 10, min + 10, 1_000_000]));
    builder.export(`table${index}`, 1, index);
  }
  return count;
}

function initial(type: WasmType): Code {
  switch (type) {
    case "i32":
      return i32(3);
    case "i64":
      return [0x42, 5];
    case "f32":
      return [0x43, 0, 0, 0x80, 0x3f];
    case "f64":
      return [0x44, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f];
    case "v128":
      return [0xfd, 0x0c, ...new Uint8Array(16)];
    case "funcref":
      return [0xd0, 0x70];
    case "externref":
      return [0xd0, 0x6f];
  }
}
