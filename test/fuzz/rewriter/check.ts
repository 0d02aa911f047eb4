/**
 * Judges one module. Whatever its bytes, it is refused with findings or it stays within its caps when it runs,
 * and does what the original does as long as no cap stops it.
 */
import { CORE_ABI } from "../../../src/actors/wasm/abi-exports.ts";
import { CAXTON_IMPORTS } from "../../../src/actors/wasm/abi-imports.ts";
import { checkImports } from "../../../src/actors/wasm/deploy/static-stage.ts";
import { HOST_EXPORT } from "../../../src/actors/wasm/rewrite/host-exports.ts";
import {
  tryRewriteModule,
  type RewrittenModule,
} from "../../../src/actors/wasm/rewrite/rewriter.ts";
import type {
  FunctionType,
  Limits,
  ModuleModel,
} from "../../../src/actors/wasm/rewrite/module-model.ts";
import type { RewriteLimits } from "../../../src/actors/wasm/rewrite/structure.ts";

const LIMITS: RewriteLimits = {
  memoryPagesMax: 8,
  tableElementsMax: 50,
  callDepthMax: 200,
};

const FUEL = 20_000n;
/** A charge is taken before it is checked; the largest is that of growing memory to its cap. */
const FUEL_LEAST = -LIMITS.memoryPagesMax * 1024;
const PAGE_BYTES = 65_536;

export type Verdict =
  | { readonly kind: "refused" }
  | {
      readonly kind: "accepted";
      readonly stopped: "fuel" | "depth" | undefined;
      readonly compared: number;
    }
  | { readonly kind: "violation"; readonly what: string };

class Violation extends Error {}

function hold(condition: boolean, what: string): void {
  if (!condition) throw new Violation(what);
}

/** To be run under a time limit: guest code runs in it. */
export function checkModule(bytes: Uint8Array): Verdict {
  try {
    const { model, findings, module } = tryRewriteModule(bytes, LIMITS);
    const unknownImports = checkImports(model, CORE_ABI);
    if (module !== undefined && unknownImports.length === 0) return runBoth(model, module);
    hold(findings.length + unknownImports.length > 0, "refused without a finding");
    hold(
      findings.every(({ at, message, hint }) => at !== "" && message !== "" && hint !== ""),
      "a finding without text",
    );
    hold(
      !findings.some(({ message }) => message.includes("can't be followed")),
      "the operand stack of a valid module could not be followed",
    );
    return { kind: "refused" };
  } catch (error) {
    const what = error instanceof Violation ? error.message : `threw ${String(error)}`;
    return { kind: "violation", what };
  }
}

function runBoth(model: ModuleModel, module: RewrittenModule): Verdict {
  hold(WebAssembly.validate(module.bytes), "the rewritten module is not valid");
  const rewritten = instantiate(module.bytes);
  if (rewritten === undefined) return { kind: "accepted", stopped: undefined, compared: 0 };
  const begin = rewritten[HOST_EXPORT.begin] as (fuel: bigint) => void;
  const begun = attempt(() => (rewritten[HOST_EXPORT.initialize] as typeof begin)(FUEL));
  let stopped = checkCaps(rewritten, begun, module);
  let compared = 0;
  if (begun.trapped) return { kind: "accepted", stopped, compared };
  let original = stopped === undefined ? instantiateOriginal(model) : undefined;
  for (const { name, kind, index } of module.info.exports) {
    if (kind !== "function") continue;
    const args = argumentsFor(model, index);
    if (args === undefined) continue;
    begin(FUEL);
    const result = attempt(() => (rewritten[name] as Callable)(...args));
    const end = checkCaps(rewritten, result, module);
    stopped ??= end;
    if (end !== undefined) original = undefined;
    if (original === undefined) continue;
    compare(
      name,
      attempt(() => (original![name] as Callable)(...args)),
      result,
    );
    compared += 1;
  }
  if (original !== undefined) compareMemory(original, rewritten);
  return { kind: "accepted", stopped, compared };
}

/** Undefined for one that may grow further than the rewritten one: it does other things then. */
function instantiateOriginal(model: ModuleModel): WebAssembly.Exports | undefined {
  const capped = (limits: readonly Limits[], cap: number): boolean =>
    limits.every(({ max }) => max !== undefined && max <= cap);
  const comparable =
    capped(model.memories, LIMITS.memoryPagesMax) && capped(model.tables, LIMITS.tableElementsMax);
  return comparable ? instantiate(model.bytes) : undefined;
}

type Callable = (...args: unknown[]) => unknown;

interface Attempt {
  readonly trapped: boolean;
  readonly value: unknown;
}

function attempt(work: () => unknown): Attempt {
  try {
    return { trapped: false, value: work() };
  } catch (error) {
    hold(!(error instanceof RangeError), `ran into a limit of the engine: ${String(error)}`);
    const expected = error instanceof WebAssembly.RuntimeError;
    hold(expected, `left with something that is no trap: ${String(error)}`);
    return { trapped: true, value: String(error) };
  }
}

/** Undefined when segments do not fit, which traps. */
function instantiate(bytes: Uint8Array): WebAssembly.Exports | undefined {
  try {
    return new WebAssembly.Instance(new WebAssembly.Module(bytes), imports()).exports;
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) return undefined;
    throw error;
  }
}

/** Both instances hear the same. */
function imports(): WebAssembly.Imports {
  const table: Readonly<Record<string, FunctionType>> = CAXTON_IMPORTS;
  let calls = 0;
  const functions = Object.entries(table).map(([name, { results }]) => [
    name,
    () => {
      calls += 1;
      return results[0] === "i64" ? BigInt(calls) : calls;
    },
  ]);
  return { caxton: Object.fromEntries(functions) as Record<string, CallableFunction> };
}

/** What stopped the call, after making sure that no cap was passed. */
function checkCaps(
  exports: WebAssembly.Exports,
  { trapped }: Attempt,
  module: RewrittenModule,
): "fuel" | "depth" | undefined {
  const fuel = (exports[HOST_EXPORT.fuel] as () => number)();
  const depth = (exports[HOST_EXPORT.depth] as () => number)();
  hold(fuel <= Number(FUEL), `more fuel left than given: ${fuel}`);
  hold(fuel >= FUEL_LEAST, `fuel far below zero: ${fuel}`);
  hold(trapped || fuel >= 0, `returned with fuel ${fuel}`);
  hold(trapped || depth === 0, `returned at depth ${depth}`);
  hold(depth >= 0, `depth below zero: ${depth}`);
  hold(withinCaps(exports), "memory or a table grew past its cap");
  hold(
    (module.info.memory?.pagesMax ?? 0) <= LIMITS.memoryPagesMax,
    "the memory's cap is too high",
  );
  if (fuel < 0) return "fuel";
  return depth > LIMITS.callDepthMax ? "depth" : undefined;
}

function withinCaps(exports: WebAssembly.Exports): boolean {
  return Object.values(exports).every((value) => {
    if (value instanceof WebAssembly.Memory) {
      return value.buffer.byteLength <= LIMITS.memoryPagesMax * PAGE_BYTES;
    }
    return !(value instanceof WebAssembly.Table) || value.length <= LIMITS.tableElementsMax;
  });
}

const ARGUMENTS: Readonly<Record<string, unknown>> = {
  i32: 5,
  i64: 7n,
  f32: 1.5,
  f64: -2.25,
  funcref: null,
  externref: null,
};

/** Undefined for a function JavaScript can't call. */
function argumentsFor(model: ModuleModel, functionIndex: number): unknown[] | undefined {
  const type = model.types[model.functions[functionIndex]!]!;
  if ([...type.params, ...type.results].includes("v128")) return undefined;
  return type.params.map((param) => ARGUMENTS[param]);
}

function compare(name: string, expected: Attempt, found: Attempt): void {
  const [want, got] = [describe(expected), describe(found)];
  hold(want === got, `${name} gives ${got}; the original gives ${want}`);
}

function describe({ trapped, value }: Attempt): string {
  const values = (Array.isArray(value) ? value : [value]) as unknown[];
  // A function is another object in each instance.
  const texts = values.map((one) =>
    typeof one === "function" ? "function" : Object.is(one, -0) ? "-0" : String(one),
  );
  return trapped ? `the trap ${texts.join()}` : texts.join();
}

function compareMemory(original: WebAssembly.Exports, rewritten: WebAssembly.Exports): void {
  const [expected, found] = [original["memory"], rewritten[HOST_EXPORT.memory]];
  if (!(expected instanceof WebAssembly.Memory) || !(found instanceof WebAssembly.Memory)) return;
  hold(
    Buffer.compare(Buffer.from(expected.buffer), Buffer.from(found.buffer)) === 0,
    "memory differs from the original's",
  );
}
