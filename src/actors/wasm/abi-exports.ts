/** What a module exports to be an agent, as docs/agent-abi.md lists it. */
import { ABI_IMPORTS, type ImportTable } from "./abi-imports.ts";
import type { FunctionType } from "./rewrite/module-model.ts";

export const MEMORY_EXPORT = "memory";

const REQUIRED_EXPORTS: Readonly<Record<string, FunctionType>> = {
  caxton_alloc: { params: ["i32"], results: ["i32"] },
  caxton_handle: { params: ["i32", "i32"], results: ["i32"] },
};

export const OPTIONAL_EXPORTS: Readonly<Record<string, FunctionType>> = {
  _initialize: { params: [], results: [] },
  caxton_health: { params: [], results: ["i32"] },
  caxton_export_state: { params: [], results: ["i64"] },
  caxton_import_state: { params: ["i32", "i32"], results: ["i32"] },
};

/** What a module of one kind may import, by the name of the imported module, and has to export. */
export interface ModuleAbi {
  readonly imports: Readonly<Record<string, ImportTable>>;
  readonly required: Readonly<Record<string, FunctionType>>;
  readonly optional: Readonly<Record<string, FunctionType>>;
  /** Where to read it. */
  readonly hint: string;
}

export const CORE_ABI: ModuleAbi = {
  imports: ABI_IMPORTS,
  required: REQUIRED_EXPORTS,
  optional: OPTIONAL_EXPORTS,
  hint: "docs/agent-abi.md lists what a module must export and may import.",
};
