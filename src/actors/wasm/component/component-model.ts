/** What a component is made of, as far as it takes to run its one core module without the rest. */
import type { Span } from "../rewrite/module-model.ts";
import type { TypeDefinition } from "./component-types.ts";

export interface ComponentModel {
  readonly modules: Span[];
  readonly coreInstances: CoreInstance[];
  readonly coreFunctions: CoreFunction[];
  readonly coreMemories: CoreExport[];
  readonly coreTables: CoreExport[];
  readonly functions: ComponentFunction[];
  readonly instances: ComponentInstance[];
  readonly exports: Map<string, Item>;
}

export type Sort =
  | "core function"
  | "core table"
  | "core memory"
  | "core global"
  | "core type"
  | "core module"
  | "core instance"
  | "function"
  | "value"
  | "type"
  | "component"
  | "instance";

/** Something in the index space of its sort. */
export interface Item {
  readonly sort: Sort;
  readonly index: number;
}

/** An export of a core instance. */
export interface CoreExport {
  readonly instance: number;
  readonly name: string;
}

export type CoreInstance =
  | {
      readonly kind: "module";
      readonly module: number;
      /** Core instances by the module name they are imported under. */
      readonly imports: ReadonlyMap<string, number>;
    }
  | { readonly kind: "bundle"; readonly exports: ReadonlyMap<string, Item> };

export type CoreFunction =
  | ({ readonly kind: "export" } & CoreExport)
  | { readonly kind: "lowered"; readonly function: number; readonly options: CanonicalOptions }
  /** What the component model gives core modules besides functions of other components. */
  | { readonly kind: "builtin"; readonly name: string };

export type ComponentFunction =
  | { readonly kind: "export"; readonly instance: number; readonly name: string }
  | {
      readonly kind: "lifted";
      readonly core: number;
      readonly options: CanonicalOptions;
      readonly type: TypeDefinition | undefined;
    }
  | { readonly kind: "import"; readonly name: string };

export type ComponentInstance =
  | { readonly kind: "import"; readonly name: string; readonly exports: InstanceExports }
  | { readonly kind: "made"; readonly exports: InstanceExports };

export type InstanceExports = ReadonlyMap<string, TypeDefinition>;

/** How values cross the border; indices are of core functions and core memories. */
export interface CanonicalOptions {
  readonly encoding: "utf8" | "utf16" | "latin1+utf16";
  readonly isAsync: boolean;
  readonly memory?: number;
  readonly realloc?: number;
  readonly postReturn?: number;
}

/** A part of the component model that is not run here; the text is a sentence. */
export class ComponentRefused extends Error {
  readonly hint: string;

  constructor(message: string, hint: string) {
    super(message);
    this.name = "ComponentRefused";
    this.hint = hint;
  }
}
