/** A small assembler for test modules. Its encoding shares no code with the rewriter under test. */

export type WasmType = "i32" | "i64" | "f32" | "f64" | "v128" | "funcref" | "externref";

export const TYPE_BYTES: Readonly<Record<WasmType, number>> = {
  i32: 0x7f,
  i64: 0x7e,
  f32: 0x7d,
  f64: 0x7c,
  v128: 0x7b,
  funcref: 0x70,
  externref: 0x6f,
};

export type Code = readonly number[];

/** Unsigned LEB128. */
export function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low + 128 : low);
  } while (rest > 0);
  return bytes;
}

/** Signed LEB128. */
export function signed(value: number | bigint): number[] {
  const bytes: number[] = [];
  let rest = BigInt(value);
  for (;;) {
    const low = Number(BigInt.asUintN(7, rest));
    rest >>= 7n;
    const last = low < 64 ? rest === 0n : rest === -1n;
    bytes.push(last ? low : low + 128);
    if (last) return bytes;
  }
}

export const i32 = (value: number): number[] => [0x41, ...signed(value)];
export const i64 = (value: number | bigint): number[] => [0x42, ...signed(value)];
export const f64 = (value: number): number[] => [
  0x44,
  ...new Uint8Array(new Float64Array([value]).buffer),
];
export const local = {
  get: (index: number): number[] => [0x20, ...unsigned(index)],
  set: (index: number): number[] => [0x21, ...unsigned(index)],
  tee: (index: number): number[] => [0x22, ...unsigned(index)],
};
export const global = {
  get: (index: number): number[] => [0x23, ...unsigned(index)],
  set: (index: number): number[] => [0x24, ...unsigned(index)],
};
export const call = (index: number): number[] => [0x10, ...unsigned(index)];
export const br = (label: number): number[] => [0x0c, ...unsigned(label)];
export const brIf = (label: number): number[] => [0x0d, ...unsigned(label)];
export const block = (type: number, ...code: Code[]): number[] => [
  0x02,
  type,
  ...code.flat(),
  0x0b,
];
export const loop = (type: number, ...code: Code[]): number[] => [0x03, type, ...code.flat(), 0x0b];
export const bulk = (operation: number, ...operands: number[]): number[] => [
  0xfc,
  operation,
  ...operands,
];
export const VOID = 0x40;
export const OPS = {
  unreachable: [0x00],
  return: [0x0f],
  drop: [0x1a],
  add: [0x6a],
  sub: [0x6b],
  memoryGrow: [0x40, 0x00],
  memorySize: [0x3f, 0x00],
} as const;

const vector = (items: readonly Code[]): number[] => [...unsigned(items.length), ...items.flat()];
const text = (value: string): number[] => {
  const bytes = [...new TextEncoder().encode(value)];
  return [...unsigned(bytes.length), ...bytes];
};

export interface FunctionSpec {
  readonly params?: readonly WasmType[];
  readonly results?: readonly WasmType[];
  readonly locals?: readonly (readonly [count: number, type: WasmType])[];
  /** Instructions, without the last `end`. */
  readonly body: Code;
  readonly exported?: string;
}

export class ModuleBuilder {
  readonly types: number[][] = [];
  readonly #imports: number[][] = [];
  readonly #functions: number[][] = [];
  readonly #tables: number[][] = [];
  readonly #memories: number[][] = [];
  readonly #globals: number[][] = [];
  readonly #exports: number[][] = [];
  readonly #elements: number[][] = [];
  readonly #bodies: number[][] = [];
  readonly #data: number[][] = [];
  readonly #custom: number[][] = [];
  #start: number | undefined;
  #functionsImported = 0;
  #dataCount = false;

  type(params: readonly WasmType[], results: readonly WasmType[]): number {
    const bytes = [
      0x60,
      ...vector(params.map((type) => [TYPE_BYTES[type]])),
      ...vector(results.map((type) => [TYPE_BYTES[type]])),
    ];
    const known = this.types.findIndex((one) => one.join() === bytes.join());
    return known >= 0 ? known : this.types.push(bytes) - 1;
  }

  importFunction(
    module: string,
    name: string,
    params: readonly WasmType[],
    results: readonly WasmType[],
  ): number {
    this.importRaw(module, name, [0x00, ...unsigned(this.type(params, results))]);
    return this.#functionsImported++;
  }

  /** `description` is kind and type, encoded. */
  importRaw(module: string, name: string, description: Code): void {
    this.#imports.push([...text(module), ...text(name), ...description]);
  }

  function({ params = [], results = [], locals = [], body, exported }: FunctionSpec): number {
    const index = this.#functionsImported + this.#functions.length;
    this.#functions.push(unsigned(this.type(params, results)));
    const runs = vector(locals.map(([count, type]) => [...unsigned(count), TYPE_BYTES[type]]));
    const code = [...runs, ...body, 0x0b];
    this.#bodies.push([...unsigned(code.length), ...code]);
    if (exported !== undefined) this.export(exported, 0, index);
    return index;
  }

  /** Flags as the format has them: 1 maximum, 2 shared, 4 64-bit. */
  memory(min: number, max?: number, flags = max === undefined ? 0 : 1): number {
    this.#memories.push(limits(flags, min, max));
    return this.#memories.length - 1;
  }

  table(min: number, max?: number, type: WasmType = "funcref"): number {
    const flags = max === undefined ? 0 : 1;
    this.#tables.push([TYPE_BYTES[type], ...limits(flags, min, max)]);
    return this.#tables.length - 1;
  }

  global(type: WasmType, mutable: boolean, init: Code): number {
    this.#globals.push([TYPE_BYTES[type], mutable ? 1 : 0, ...init, 0x0b]);
    return this.#globals.length - 1;
  }

  /** Kinds: 0 function, 1 table, 2 memory, 3 global. */
  export(name: string, kind: number, index: number): void {
    this.#exports.push([...text(name), kind, ...unsigned(index)]);
  }

  start(index: number): void {
    this.#start = index;
  }

  /** An active segment of table 0. */
  elements(offset: number, functions: readonly number[]): void {
    this.#elements.push([0x00, ...i32(offset), 0x0b, ...vector(functions.map(unsigned))]);
  }

  passiveElements(functions: readonly number[]): void {
    this.#elements.push([0x01, 0x00, ...vector(functions.map(unsigned))]);
  }

  data(offset: number, bytes: Code): void {
    this.#data.push([0x00, ...i32(offset), 0x0b, ...unsigned(bytes.length), ...bytes]);
  }

  passiveData(bytes: Code): void {
    this.#dataCount = true;
    this.#data.push([0x01, ...unsigned(bytes.length), ...bytes]);
  }

  custom(name: string, bytes: Code): void {
    this.#custom.push([...text(name), ...bytes]);
  }

  build(): Uint8Array {
    const out: number[] = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
    const section = (id: number, content: Code): void => {
      out.push(id, ...unsigned(content.length));
      for (const byte of content) out.push(byte);
    };
    const entries = (id: number, items: readonly Code[]): void => {
      if (items.length > 0) section(id, vector(items));
    };
    entries(1, this.types);
    entries(2, this.#imports);
    entries(3, this.#functions);
    entries(4, this.#tables);
    entries(5, this.#memories);
    entries(6, this.#globals);
    entries(7, this.#exports);
    if (this.#start !== undefined) section(8, unsigned(this.#start));
    entries(9, this.#elements);
    if (this.#dataCount) section(12, unsigned(this.#data.length));
    entries(10, this.#bodies);
    entries(11, this.#data);
    for (const custom of this.#custom) section(0, custom);
    return Uint8Array.from(out);
  }
}

function limits(flags: number, min: number, max: number | undefined): number[] {
  return [flags, ...unsigned(min), ...(max === undefined ? [] : unsigned(max))];
}

/** A builder with what every agent has: memory, caxton_alloc and a caxton_handle with this body. */
export function agentBuilder(
  handle: Code = i32(0),
  builder: ModuleBuilder = new ModuleBuilder(),
): ModuleBuilder {
  builder.memory(1);
  builder.export("memory", 2, 0);
  builder.function({
    params: ["i32"],
    results: ["i32"],
    body: i32(1024),
    exported: "caxton_alloc",
  });
  builder.function({
    params: ["i32", "i32"],
    results: ["i32"],
    body: handle,
    exported: "caxton_handle",
  });
  return builder;
}
