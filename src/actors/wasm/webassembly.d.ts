/** The part of the WebAssembly JavaScript API the server uses; Node's own types leave it out. */
declare namespace WebAssembly {
  type ExportKind = "function" | "global" | "memory" | "table" | "tag";
  type ExportValue = CallableFunction | Global | Memory | Table;
  type Exports = Record<string, ExportValue>;
  type ImportValue = CallableFunction | Global | Memory | Table;
  type Imports = Record<string, Record<string, ImportValue>>;

  interface ModuleExportDescriptor {
    readonly name: string;
    readonly kind: ExportKind;
  }

  interface ModuleImportDescriptor extends ModuleExportDescriptor {
    readonly module: string;
  }

  class Module {
    private readonly brand: "module";
    constructor(bytes: Uint8Array);
    static imports(module: Module): ModuleImportDescriptor[];
    static exports(module: Module): ModuleExportDescriptor[];
    static customSections(module: Module, name: string): ArrayBuffer[];
  }

  class Instance {
    private readonly brand: "instance";
    constructor(module: Module, imports?: Imports);
    readonly exports: Exports;
  }

  class Memory {
    private readonly brand: "memory";
    constructor(descriptor: { initial: number; maximum?: number });
    readonly buffer: ArrayBuffer;
    grow(pages: number): number;
  }

  class Global {
    private readonly brand: "global";
    constructor(descriptor: { value: string; mutable?: boolean }, value?: unknown);
    /** A number, or a bigint for i64. */
    value: unknown;
  }

  class Table {
    private readonly brand: "table";
    readonly length: number;
    get(index: number): unknown;
  }

  class CompileError extends Error {}
  class LinkError extends Error {}
  class RuntimeError extends Error {}

  function validate(bytes: Uint8Array): boolean;
}
