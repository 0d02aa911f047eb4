/** What the core module of a component imports and exports: the canonical ABI of the world. */
import type { ModuleAbi } from "../abi-exports.ts";
import { WASI_IMPORTS } from "../abi-imports.ts";
import type { FunctionType } from "../rewrite/module-model.ts";
import type { WitFunction } from "./wit-types.ts";
import { HOST_FUNCTIONS, HOST_INTERFACE, OPTIONAL_FUNCTIONS, REQUIRED_FUNCTIONS } from "./world.ts";

type Functions = Readonly<Record<string, WitFunction>>;
type Types = Record<string, FunctionType>;

const typesOf = (functions: Functions, side: "imported" | "exported"): Types =>
  Object.fromEntries(Object.entries(functions).map(([name, type]) => [name, type[side]]));

/** Each may have one that takes back what its result points to. */
const cleanUps = (functions: Functions): Types =>
  Object.fromEntries(
    Object.entries(functions).map(([name, { exported }]) => [
      `cabi_post_${name}`,
      { params: exported.results, results: [] },
    ]),
  );

export const COMPONENT_ABI: ModuleAbi = {
  imports: {
    [HOST_INTERFACE]: typesOf(HOST_FUNCTIONS, "imported"),
    wasi_snapshot_preview1: WASI_IMPORTS,
  },
  required: {
    ...typesOf(REQUIRED_FUNCTIONS, "exported"),
    cabi_realloc: { params: ["i32", "i32", "i32", "i32"], results: ["i32"] },
  },
  optional: {
    _initialize: { params: [], results: [] },
    ...typesOf(OPTIONAL_FUNCTIONS, "exported"),
    ...cleanUps({ ...REQUIRED_FUNCTIONS, ...OPTIONAL_FUNCTIONS }),
  },
  hint: "sdk/wit/caxton-agent.wit is the world that a component has to fit.",
};
