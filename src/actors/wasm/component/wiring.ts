/** Which function a core module of a component really gets for an import, through all the plumbing between. */
import type { ComponentModel, CoreExport, CoreInstance, Item } from "./component-model.ts";
import { tableFilling, trampolinesOf } from "./trampolines.ts";

export type Target =
  /** A function of an imported interface, lowered; `name` is undefined when it is a bare function. */
  | { readonly kind: "import"; readonly from: string; readonly name: string | undefined }
  | { readonly kind: "builtin"; readonly name: string }
  /** Code of another core module. */
  | { readonly kind: "module"; readonly module: number }
  | { readonly kind: "unknown" };

const UNKNOWN: Target = { kind: "unknown" };

/** Bundles of bundles; what tools make has two levels. */
const HOPS_MAX = 8;

export class Wiring {
  readonly #bytes: Uint8Array;
  readonly #model: ComponentModel;

  constructor(bytes: Uint8Array, model: ComponentModel) {
    this.#bytes = bytes;
    this.#model = model;
  }

  moduleBytes(module: number): Uint8Array | undefined {
    const span = this.#model.modules[module];
    return span && this.#bytes.subarray(span.start, span.end);
  }

  /** What stands behind an export of a core instance. */
  follow({ instance, name }: CoreExport, hops = HOPS_MAX): Target {
    const source = this.#model.coreInstances[instance];
    if (source === undefined || hops === 0) return UNKNOWN;
    if (source.kind === "module") {
      const behind = this.#throughTrampoline(instance, source, name);
      return behind === undefined
        ? { kind: "module", module: source.module }
        : this.#function(behind, hops - 1);
    }
    const item = source.exports.get(name);
    return item?.sort === "core function" ? this.#function(item, hops - 1) : UNKNOWN;
  }

  #function({ index }: Item, hops: number): Target {
    const found = this.#model.coreFunctions[index];
    if (found === undefined) return UNKNOWN;
    if (found.kind === "export") return this.follow(found, hops);
    if (found.kind === "builtin") return found;
    const lowered = this.#model.functions[found.function];
    if (lowered?.kind === "import") return { kind: "import", from: lowered.name, name: undefined };
    if (lowered?.kind !== "export") return UNKNOWN;
    const instance = this.#model.instances[lowered.instance];
    return instance?.kind === "import"
      ? { kind: "import", from: instance.name, name: lowered.name }
      : UNKNOWN;
  }

  /** What the trampoline of this name ends up calling. */
  #throughTrampoline(
    instance: number,
    { module }: Extract<CoreInstance, { kind: "module" }>,
    name: string,
  ): Item | undefined {
    const bytes = this.moduleBytes(module);
    const place = bytes && trampolinesOf(bytes)?.get(name);
    if (place === undefined) return undefined;
    for (const filler of this.#model.coreInstances) {
      if (filler.kind !== "module") continue;
      for (const source of filler.imports.values()) {
        const bundle = this.#model.coreInstances[source];
        if (bundle?.kind !== "bundle" || !this.#holdsTableOf(bundle, instance)) continue;
        const filling = this.moduleBytes(filler.module);
        const imported = filling && tableFilling(filling)?.[place];
        if (imported !== undefined) return bundle.exports.get(imported);
      }
    }
    return undefined;
  }

  #holdsTableOf({ exports }: Extract<CoreInstance, { kind: "bundle" }>, instance: number): boolean {
    return [...exports.values()].some(
      ({ sort, index }) =>
        sort === "core table" && this.#model.coreTables[index]?.instance === instance,
    );
  }
}
