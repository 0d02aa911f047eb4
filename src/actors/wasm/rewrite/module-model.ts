/** What the rewriter knows of a module besides its code. */
export interface ModuleModel {
  readonly bytes: Uint8Array;
  readonly types: FunctionType[];
  readonly imports: ImportEntry[];
  /** Type index of every function: the imported ones first. */
  readonly functions: number[];
  functionsImported: number;
  readonly tables: TableType[];
  readonly memories: MemoryType[];
  readonly globals: GlobalType[];
  readonly exports: ExportEntry[];
  start: number | undefined;
  readonly bodies: Span[];
  /** Payload of each section that is not custom, by its id. */
  readonly sections: Map<number, Span>;
  /** The section that names functions in stack traces, header included. */
  names: Span | undefined;
  /** All sections were understood, so the code can be looked at. */
  complete: boolean;
}

export interface Span {
  readonly start: number;
  readonly end: number;
}

export type ValueType = "i32" | "i64" | "f32" | "f64" | "v128" | "funcref" | "externref";

export const VALUE_TYPE_BYTES: Readonly<Record<ValueType, number>> = {
  i32: 0x7f,
  i64: 0x7e,
  f32: 0x7d,
  f64: 0x7c,
  v128: 0x7b,
  funcref: 0x70,
  externref: 0x6f,
};

export interface FunctionType {
  readonly params: readonly ValueType[];
  readonly results: readonly ValueType[];
}

export type ExternalKind = "function" | "table" | "memory" | "global" | "tag";

export interface ImportEntry {
  readonly module: string;
  readonly name: string;
  readonly kind: ExternalKind;
  /** Of a function. */
  readonly type: FunctionType | undefined;
}

export interface ExportEntry {
  readonly name: string;
  readonly kind: ExternalKind;
  readonly index: number;
}

export interface Limits {
  readonly min: number;
  readonly max: number | undefined;
}

export type MemoryType = Limits;

export interface TableType extends Limits {
  readonly elementType: ValueType;
}

export interface GlobalType {
  readonly type: ValueType;
  readonly mutable: boolean;
}

export const SECTION = {
  custom: 0,
  type: 1,
  import: 2,
  function: 3,
  table: 4,
  memory: 5,
  global: 6,
  export: 7,
  start: 8,
  element: 9,
  code: 10,
  data: 11,
  dataCount: 12,
  tag: 13,
} as const;

/** As the documentation writes it: `(i32, i32) -> i32`. */
export function formatFunctionType(type: FunctionType): string {
  const results = type.results.length === 1 ? type.results[0]! : `(${type.results.join(", ")})`;
  return `(${type.params.join(", ")}) -> ${results}`;
}
