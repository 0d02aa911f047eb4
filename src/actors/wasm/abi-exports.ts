/** What a module exports to be an agent, as docs/agent-abi.md lists it. */
import type { FunctionType } from "./rewrite/module-model.ts";

export const MEMORY_EXPORT = "memory";

export const REQUIRED_EXPORTS: Readonly<Record<string, FunctionType>> = {
  caxton_alloc: { params: ["i32"], results: ["i32"] },
  caxton_handle: { params: ["i32", "i32"], results: ["i32"] },
};

export const OPTIONAL_EXPORTS: Readonly<Record<string, FunctionType>> = {
  _initialize: { params: [], results: [] },
  caxton_health: { params: [], results: ["i32"] },
  caxton_export_state: { params: [], results: ["i64"] },
  caxton_import_state: { params: ["i32", "i32"], results: ["i32"] },
};
