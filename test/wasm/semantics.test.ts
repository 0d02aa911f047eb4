import { beforeAll, describe, expect, test } from "vitest";
import { main as compile } from "assemblyscript/asc";
import {
  ModuleBuilder,
  OPS,
  VOID,
  block,
  br,
  brIf,
  bulk,
  call,
  global,
  i32,
  i64,
  local,
  signed,
  type Code,
  type FunctionSpec,
} from "../support/wasm-builder.ts";
import { resultOf, start, startOriginal, type Callable } from "../support/rewritten.ts";

const FUEL = 1_000_000n;

/** Calls export `f` of the module with and without rewriting, with each list of arguments. */
function expectSame(builder: ModuleBuilder, calls: readonly (number | bigint)[][]): void {
  const bytes = builder.build();
  const original = startOriginal(bytes);
  const rewritten = start(bytes);
  for (const args of calls) {
    rewritten.begin(FUEL);
    const expected = resultOf(() => (original["f"] as Callable)(...args));
    expect(resultOf(() => rewritten.call("f", ...args))).toEqual(expected);
    if (expected.kind === "value") expect(rewritten.depth()).toBe(0);
  }
}

const ALL = [[0], [1], [2], [3], [100], [-1]];

/** A function that calls something, so that its body gets wrapped. */
function calling(body: Code, spec: Partial<FunctionSpec> = {}): ModuleBuilder {
  const builder = new ModuleBuilder();
  builder.memory(1);
  builder.table(3, 5);
  builder.global("i32", true, i32(0));
  const leaf = builder.function({ body: [...global.get(0), ...i32(1), ...OPS.add, 0x24, 0] });
  builder.elements(0, [leaf]);
  const before = call(leaf);
  builder.function({
    params: ["i32"],
    results: ["i32"],
    exported: "f",
    ...spec,
    body: [...before, ...body],
  });
  return builder;
}

describe("a rewritten function does what it did", () => {
  test("return from inside blocks", () => {
    const body = block(VOID, block(VOID, local.get(0), brIf(0), i32(10), OPS.return), [
      ...local.get(0),
      ...i32(2),
      0x46,
      0x04,
      VOID,
      ...i32(20),
      ...OPS.return,
      0x0b,
    ]);
    expectSame(calling([...body, ...i32(30)]), ALL);
  });

  test("code after return and branch is kept valid, unreachable or not", () => {
    const dead = [...OPS.add, ...OPS.drop, 0x1b, ...OPS.drop, ...OPS.return];
    expectSame(calling([...i32(7), ...OPS.return, ...dead]), ALL);
    expectSame(calling([...i32(7), ...br(0), ...dead, ...i32(1)]), ALL);
    expectSame(calling([...OPS.unreachable, ...dead]), ALL);
    expectSame(
      calling([...i32(1), ...OPS.return, ...block(VOID, i32(3), OPS.return), ...i32(4)]),
      ALL,
    );
  });

  test("branches to the function's own label, plain, conditional and by table", () => {
    expectSame(calling([...i32(5), ...local.get(0), ...brIf(0), ...OPS.drop, ...i32(6)]), ALL);
    const table = block(VOID, block(VOID, i32(9), local.get(0), [0x0e, 2, 2, 2, 2]), i32(1), br(1));
    expectSame(calling([...table, ...i32(2)]), ALL);
    const inner = block(0x7f, i32(3), local.get(0), [0x0e, 1, 0, 1], OPS.unreachable);
    expectSame(calling([...inner, ...i32(1), ...OPS.add]), ALL);
  });

  test("several results, with and without an existing block type", () => {
    const body = [
      ...local.get(0),
      ...i64(5),
      ...local.get(0),
      ...brIf(0),
      ...OPS.drop,
      ...i64(6),
      ...OPS.return,
    ];
    const results = ["i32", "i64"] as const;
    expectSame(calling(body, { results }), ALL);
    const known = calling(body, { results });
    known.type([], results);
    expectSame(known, ALL);
  });

  test("blocks with parameters, loops with parameters, if and else", () => {
    const builder = calling(i32(0));
    const pair = builder.type(["i32", "i32"], ["i32"]);
    const one = builder.type(["i32"], ["i32"]);
    const countdown = [
      ...local.get(0),
      0x03,
      ...signed(one),
      ...local.tee(1),
      ...i32(1),
      ...OPS.sub,
      ...local.get(1),
      ...i32(5),
      0x4a,
      ...brIf(0),
      0x0b,
    ];
    const chosen = [...i32(2), ...local.get(0), 0x04, ...signed(pair), 0x6a, 0x05, 0x6b, 0x0b];
    builder.function({
      params: ["i32"],
      results: ["i32"],
      locals: [[1, "i32"]],
      body: [...countdown, ...chosen, ...call(0)],
      exported: "g",
    });
    const bytes = builder.build();
    const [original, rewritten] = [startOriginal(bytes), start(bytes)];
    for (const [argument] of ALL) {
      rewritten.begin(FUEL);
      const expected = resultOf(() => (original["g"] as Callable)(argument!));
      expect(resultOf(() => rewritten.call("g", argument!))).toEqual(expected);
    }
  });

  test("indirect calls, traps and their messages", () => {
    const indirect = [...local.get(0), 0x11, 0, 0];
    expectSame(calling([...indirect, ...i32(1)]), ALL);
    expectSame(calling([...i32(10), ...local.get(0), 0x6d]), ALL);
    expectSame(calling([...i32(100_000), 0x28, 2, 0]), ALL);
  });

  test("bulk operations on memory and tables", () => {
    const fill = [...i32(8), ...local.get(0), ...i32(100), ...bulk(11, 0)];
    const copy = [...i32(200), ...i32(0), ...i32(64), ...bulk(10, 0, 0)];
    const read = [...i32(210), 0x28, 2, 0];
    expectSame(calling([...fill, ...copy, ...read]), ALL);
    expectSame(calling([...i32(65_000), ...i32(1), ...local.get(0), ...bulk(11, 0), ...i32(1)]), [
      [1],
      [536],
      [537],
    ]);
    const grow = [0xd0, 0x70, ...local.get(0), ...bulk(15, 0), ...bulk(16, 0), ...OPS.add];
    expectSame(calling(grow), ALL);
    const tables = [
      ...i32(1),
      ...i32(0),
      0x25,
      0,
      ...i32(2),
      ...bulk(17, 0),
      ...i32(0),
      ...i32(1),
      ...i32(2),
      ...bulk(14, 0, 0),
      ...i32(2),
      0x25,
      0,
      0xd1,
    ];
    expectSame(calling(tables), ALL);
  });

  test("memory.grow answers the old size, or -1 above the cap", () => {
    const { begin, call: run } = start(calling([...local.get(0), ...OPS.memoryGrow], {}).build());
    begin(FUEL);
    expect([run("f", 2), run("f", 0), run("f", 13), run("f", 1), run("f", -1)]).toEqual([
      1, 3, 3, -1, -1,
    ]);
  });

  test("the start function runs when the host initialises, before _initialize", () => {
    const builder = calling([...global.get(0)]);
    const first = builder.function({ body: [...i32(40), ...global.set(0)] });
    builder.function({
      body: [...global.get(0), ...i32(2), ...OPS.add, ...global.set(0)],
      exported: "_initialize",
    });
    builder.start(first);
    const { exports, begin, call: run, module } = start(builder.build());
    expect(module.info.hasStart).toBe(true);
    const value = exports["caxton:g0"] as WebAssembly.Global;
    expect(value.value).toBe(0);
    (exports["caxton:init"] as (fuel: bigint) => void)(FUEL);
    expect(value.value).toBe(42);
    begin(FUEL);
    expect(run("f", 0)).toBe(43);
  });
});

const PROGRAM = `
  const text = new Map<string, i32>();
  class Account { constructor(public name: string, public cents: i64) {} }
  const accounts: Account[] = [];
  export function words(seed: i32): i32 {
    let sum = 0;
    for (let i = 0; i < 50; i++) {
      const word = "w" + ((seed * 31 + i * 7) % 13).toString();
      text.set(word, (text.has(word) ? text.get(word) : 0) + i);
      sum += text.get(word) + word.length;
    }
    return sum;
  }
  export function bank(seed: i32): i64 {
    accounts.push(new Account("a" + seed.toString(), <i64>seed * 100));
    accounts.sort((a, b) => <i32>(b.cents - a.cents));
    let total: i64 = 0;
    for (let i = 0; i < accounts.length; i++) total = total * 3 + accounts[i].cents;
    return total;
  }
  export function floats(seed: i32): f64 {
    let x: f64 = seed;
    for (let i = 1; i < 40; i++) x = Math.sin(x) * i + Math.sqrt(Math.abs(x)) / i;
    return x;
  }
  function ack(m: i32, n: i32): i32 {
    return m == 0 ? n + 1 : n == 0 ? ack(m - 1, 1) : ack(m - 1, ack(m, n - 1));
  }
  export function recurse(seed: i32): i32 { return ack(2, seed & 7); }
  export function bytes(seed: i32): i32 {
    const buffer = new Uint8Array(4096);
    buffer.fill(<u8>seed);
    buffer.copyWithin(100, 7, 600);
    let hash: i32 = 5381;
    for (let i = 0; i < buffer.length; i++) hash = hash * 33 ^ buffer[i] + i;
    return hash;
  }
  export function fails(seed: i32): i32 { assert(seed % 3 != 0, "no"); return accounts[seed].name.length; }
`;

describe("a compiled program does what it did", () => {
  let module: Uint8Array;

  beforeAll(async () => {
    let binary: Uint8Array | undefined;
    const { error, stderr } = await compile(
      ["p.ts", "-O2", "--runtime", "incremental", "-o", "p"],
      {
        readFile: (name) => (name === "p.ts" ? PROGRAM : null),
        writeFile: (_name, contents) => {
          if (typeof contents !== "string") binary = contents;
        },
        listFiles: () => [],
      },
    );
    if (error !== null || binary === undefined) throw new Error(stderr.toString());
    module = binary;
  });

  const imports = {
    env: {
      abort: () => {
        throw new Error("abort");
      },
    },
  };

  test("results, traps, memory and globals are equal over a thousand calls", () => {
    const original = startOriginal(module, imports);
    const rewritten = start(module, imports, {
      memoryPagesMax: 1000,
      tableElementsMax: 100,
      callDepthMax: 1000,
    });
    (rewritten.exports["caxton:init"] as (fuel: bigint) => void)(FUEL);
    const names = ["words", "bank", "floats", "recurse", "bytes", "fails"];
    for (let round = 0; round < 1000; round += 1) {
      const name = names[round % names.length]!;
      const expected = resultOf(() => (original[name] as Callable)(round % 50));
      rewritten.begin(100n * FUEL);
      expect(resultOf(() => rewritten.call(name, round % 50))).toEqual(expected);
    }
    const memories = [original["memory"], rewritten.exports["caxton:memory"]].map((memory) =>
      Buffer.from((memory as WebAssembly.Memory).buffer),
    );
    expect(memories[0]!.equals(memories[1]!)).toBe(true);
  });

  test("an image of memory and globals continues in a fresh instance", () => {
    const first = start(module, imports);
    (first.exports["caxton:init"] as (fuel: bigint) => void)(FUEL);
    first.begin(FUEL);
    first.call("bank", 5);
    const second = start(module, imports);
    const [from, to] = [first, second].map(
      ({ exports }) => exports["caxton:memory"] as WebAssembly.Memory,
    ) as [WebAssembly.Memory, WebAssembly.Memory];
    to.grow((from.buffer.byteLength - to.buffer.byteLength) / 65_536);
    Buffer.from(to.buffer).set(Buffer.from(from.buffer));
    for (const { exportName } of first.module.info.mutableGlobals) {
      const source = first.exports[exportName] as WebAssembly.Global;
      (second.exports[exportName] as WebAssembly.Global).value = source.value;
    }
    for (const { begin } of [first, second]) begin(FUEL);
    expect(second.call("bank", 6)).toBe(first.call("bank", 6));
    expect(second.fuel()).toBe(first.fuel());
  });
});
