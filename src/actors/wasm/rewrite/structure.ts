import { FEATURES } from "./features.ts";
import type { Findings } from "./findings.ts";
import { HOST_PREFIX } from "./host-exports.ts";
import type { Limits, ModuleModel } from "./module-model.ts";

export interface RewriteLimits {
  /** Pages of 64 KiB. */
  readonly memoryPagesMax: number;
  /** Of each table. */
  readonly tableElementsMax: number;
  readonly callDepthMax: number;
}

/** Names what no rewriting could make acceptable, instructions aside. */
export function checkStructure(
  model: ModuleModel,
  limits: RewriteLimits,
  findings: Findings,
): void {
  if (model.memories.length > 1) {
    const { message, hint } = FEATURES.severalMemories;
    findings.add("memory section", message, hint);
  }
  for (const { min } of model.memories) {
    if (min <= limits.memoryPagesMax) continue;
    findings.add(
      "memory section",
      `The module needs at least ${min} pages of memory; limits.memoryPagesMax is ${limits.memoryPagesMax}.`,
      "Raise limits.memoryPagesMax in the manifest, or link with a smaller stack and heap.",
    );
  }
  for (const [index, { min }] of model.tables.entries()) {
    if (min <= limits.tableElementsMax) continue;
    findings.add(
      `table ${index}`,
      `A table needs at least ${min} elements; limits.tableElementsMax is ${limits.tableElementsMax}.`,
      "Raise limits.tableElementsMax in the manifest.",
    );
  }
  for (const entry of model.imports) {
    if (entry.kind === "function" || entry.kind === "tag") continue;
    findings.add(
      `import ${entry.module}.${entry.name}`,
      `The module imports the ${entry.kind} ${entry.module}.${entry.name}; only functions can be imported.`,
      `Define the ${entry.kind} in the module (for wasm-ld: no --import-memory or --import-table).`,
    );
  }
  for (const { name } of model.exports) {
    if (!name.startsWith(HOST_PREFIX)) continue;
    findings.add(
      `export ${name}`,
      `The module exports ${name}; names that begin with ${HOST_PREFIX} are reserved.`,
      "Give the export another name.",
    );
  }
}

/** The same limits with a maximum that is never above the cap. */
export function capLimits({ min, max }: Limits, cap: number): { min: number; max: number } {
  return { min, max: Math.min(max ?? cap, cap) };
}
