import { describe, expect, test } from "vitest";
import { rewriteModule } from "../../src/actors/wasm/rewrite/rewriter.ts";
import {
  ModuleBuilder,
  OPS,
  VOID,
  agentBuilder,
  block,
  br,
  brIf,
  bulk,
  call,
  i32,
  local,
  loop,
  unsigned,
  type Code,
  type WasmType,
} from "../support/wasm-builder.ts";
import { LIMITS, resultOf, start, type Running } from "../support/rewritten.ts";

const FUEL = 1_000_000n;

/** The call trapped, and this is what the host learns of it. */
function expectStopped(running: Running, by: "fuel" | "depth", work: () => unknown): void {
  expect(resultOf(work)).toEqual({ kind: "trap", message: "unreachable" });
  if (by === "fuel") expect(running.fuel()).toBeLessThan(0);
  else {
    expect(running.fuel()).toBeGreaterThanOrEqual(0);
    expect(running.depth()).toBeGreaterThan(LIMITS.callDepthMax);
  }
}

function running(body: Code, locals: readonly (readonly [number, WasmType])[] = []): Running {
  const builder = new ModuleBuilder();
  builder.memory(1);
  builder.table(1);
  builder.passiveData([1, 2, 3, 4]);
  builder.function({ body, locals, exported: "f" });
  return start(builder.build());
}

describe("fuel", () => {
  test.each<[string, Code]>([
    ["an empty loop", loop(VOID, br(0))],
    ["a loop in a loop", loop(VOID, loop(VOID, br(1)))],
    ["a loop that fills memory", loop(VOID, i32(0), i32(1), i32(65_536), bulk(11, 0), br(0))],
    ["a loop that copies memory", loop(VOID, i32(0), i32(1), i32(60_000), bulk(10, 0, 0), br(0))],
    ["a loop that grows memory in vain", loop(VOID, i32(1), OPS.memoryGrow, OPS.drop, br(0))],
    [
      "a loop that grows a table in vain",
      loop(VOID, [0xd0, 0x70], i32(99), bulk(15, 0), OPS.drop, br(0)),
    ],
    ["a loop over a br_table", loop(VOID, i32(0), [0x0e, 1, 0, 0])],
    ["recursion", loop(VOID, call(0), br(0))],
  ])("stops %s", (name, body) => {
    const module = running(body);
    module.begin(FUEL);
    const by = name.startsWith("recursion") ? "depth" : "fuel";
    expectStopped(module, by, () => module.call("f"));
  });

  test("stops recursion that branches out", () => {
    const builder = new ModuleBuilder();
    const tree = [...local.get(0), 0x04, VOID];
    const deeper = [...local.get(0), ...i32(1), ...OPS.sub, ...call(0)];
    builder.function({
      params: ["i32"],
      body: [...tree, ...deeper, ...deeper, 0x0b],
      exported: "f",
    });
    const module = start(builder.build());
    module.begin(FUEL);
    expectStopped(module, "fuel", () => module.call("f", 60));
  });

  test("is used alike by equal runs, cold and hot", () => {
    const body = [
      ...i32(3000),
      ...local.set(0),
      ...loop(VOID, local.get(0), i32(1), OPS.sub, local.tee(0), brIf(0)),
    ];
    const module = running(body, [[1, "i32"]]);
    const used = Array.from({ length: 50 }, () => {
      module.begin(FUEL);
      module.call("f");
      return Number(FUEL) - module.fuel();
    });
    // Two units to enter, five each time round.
    expect(new Set(used)).toEqual(new Set([2 + 3000 * 5]));
  });

  test("a straight segment costs its instructions, up to 32", () => {
    const cost = (instructions: number): number => {
      const module = running(Array.from({ length: instructions }, () => [...i32(1), 0x1a]).flat());
      module.begin(FUEL);
      module.call("f");
      return Number(FUEL) - module.fuel();
    };
    expect([cost(0), cost(1), cost(10), cost(16), cost(17), cost(5000)]).toEqual([
      1, 2, 20, 32, 32, 32,
    ]);
  });

  test("bulk operations cost by their length, and nothing when there can't be so much", () => {
    const cost = (operation: Code): number => {
      const module = running(operation);
      module.begin(FUEL);
      resultOf(() => module.call("f"));
      return Number(FUEL) - module.fuel();
    };
    const fill = (length: number): Code => [...i32(0), ...i32(0), ...i32(length), ...bulk(11, 0)];
    const entry = 4;
    expect(cost(fill(63))).toBe(entry);
    expect(cost(fill(6400))).toBe(entry + 100);
    expect(cost(fill(65_536))).toBe(entry + 1024);
    expect(cost(fill(-1))).toBe(entry);
    const copy = [...i32(0), ...i32(0), ...i32(640), ...bulk(10, 0, 0)];
    expect(cost(copy)).toBe(entry + 10);
    const grow = (pages: number): Code => [...i32(pages), ...OPS.memoryGrow, ...OPS.drop];
    expect(cost(grow(3))).toBe(3 + 1000 + 3 * 1024);
    expect(cost(grow(1000))).toBe(3 + 1000);
    expect(cost(grow(-1))).toBe(3 + 1000);
    const table = [0xd0, 0x70, ...i32(50), ...bulk(15, 0), ...OPS.drop];
    expect(cost(table)).toBe(entry + 50);
  });

  test("a guest can't reach it: the index of the fuel does not exist for the original", () => {
    for (const [description, body] of [
      ["writes the fuel", [0x42, 0, 0x24, 0]],
      ["writes the depth", [0x41, 0, 0x24, 1]],
      ["calls begin", [0x42, 0, ...call(4)]],
    ] as [string, Code][]) {
      const builder = new ModuleBuilder();
      builder.memory(1);
      builder.function({ body, exported: "f" });
      const bytes = builder.build();
      expect(WebAssembly.validate(bytes), description).toBe(false);
      expect(() => rewriteModule(bytes, LIMITS), description).toThrow(
        expect.objectContaining({ code: "INVALID_MODULE" }),
      );
    }
  });

  test("what a trap left behind is gone when the host begins again", () => {
    const builder = new ModuleBuilder();
    builder.function({ body: call(0), exported: "deep" });
    builder.function({ body: call(2), exported: "fine" });
    builder.function({ body: [] });
    const module = start(builder.build());
    module.begin(FUEL);
    expectStopped(module, "depth", () => module.call("deep"));
    module.begin(10n);
    module.call("fine");
    expect(module.depth()).toBe(0);
    expectStopped(module, "fuel", () => {
      for (let times = 0; times < 10; times += 1) module.call("fine");
    });
  });

  test("without fuel nothing runs, not even what the module exports", () => {
    const module = running([]);
    expectStopped(module, "fuel", () => module.call("f"));
  });
});

describe("call depth", () => {
  /** Recursion as deep as the argument; `keep` makes values before the call, `use` consumes them after it. */
  function recursion(
    keep: Code,
    use: Code,
    locals: readonly (readonly [number, WasmType])[] = [],
  ): Running {
    const builder = new ModuleBuilder();
    builder.memory(1);
    const deeper = [...local.get(0), ...i32(1), ...OPS.sub, ...call(0)];
    builder.function({
      params: ["i32"],
      locals,
      body: [...keep, ...local.get(0), 0x04, VOID, ...deeper, 0x0b, ...use],
      exported: "f",
    });
    return start(builder.build());
  }

  test("is trapped at the same call, cold and hot", () => {
    const module = recursion([], []);
    const attempt = (depth: number): boolean => {
      module.begin(FUEL);
      return resultOf(() => module.call("f", depth)).kind === "value";
    };
    const outcomes = (): boolean[] => [998, 999, 1000, 1001, 100_000].map(attempt);
    expect(outcomes()).toEqual([true, true, false, false, false]);
    for (let times = 0; times < 3000; times += 1) attempt(500);
    for (let times = 0; times < 10; times += 1) {
      expect(outcomes()).toEqual([true, true, false, false, false]);
    }
  });

  const address = (index: number): Code => i32((index * 16) % 60_000);
  const many = (count: number, make: (index: number) => Code): Code =>
    Array.from({ length: count }, (_, index) => make(index)).flat();

  test.each([0, 10, 30, 31, 62, 500, 2000, 4900])(
    "is trapped before the engine's own limit with %i locals",
    (count) => {
      const load = (index: number): Code => [
        ...address(index),
        0x29,
        0,
        0,
        0x21,
        ...unsigned(index + 1),
      ];
      const store = (index: number): Code => [
        ...address(index),
        0x20,
        ...unsigned(index + 1),
        0x37,
        0,
        0,
      ];
      const module = recursion(many(count, load), many(count, store), [[count, "i64"]]);
      for (let times = 0; times < 30; times += 1) {
        module.begin(FUEL);
        expectStopped(module, "depth", () => module.call("f", 100_000));
      }
    },
  );

  test.each([10, 31, 500, 2400])(
    "is trapped before the engine's own limit with %i operands",
    (count) => {
      const load = (index: number): Code => [...address(index), ...address(index), 0x29, 0, 0];
      const store = (): Code => [0x37, 0, 0];
      const module = recursion(many(count, load), many(count, store));
      for (let times = 0; times < 30; times += 1) {
        module.begin(FUEL);
        expectStopped(module, "depth", () => module.call("f", 100_000));
      }
    },
  );

  test("is zero again after every way out of a function", () => {
    const exits: Code[] = [
      [],
      OPS.return,
      br(0),
      block(VOID, br(1)),
      block(VOID, OPS.return),
      [...i32(1), ...brIf(0)],
      [...i32(0), 0x0e, 1, 0, 0],
      loop(VOID, i32(0), brIf(0)),
    ];
    for (const exit of exits) {
      const builder = new ModuleBuilder();
      builder.function({ body: [] });
      builder.function({ body: [...call(0), ...exit], exported: "f" });
      const module = start(builder.build());
      module.begin(FUEL);
      module.call("f");
      expect(module.depth()).toBe(0);
    }
  });
});

describe("memory and tables", () => {
  test("never grow past their caps, whatever maximum the module states", () => {
    for (const max of [undefined, 3, 16, 17, 65_536]) {
      const builder = new ModuleBuilder();
      builder.memory(1, max);
      const body = [
        ...loop(VOID, i32(1), OPS.memoryGrow, i32(0), [0x4e], brIf(0)),
        ...OPS.memorySize,
      ];
      builder.function({ results: ["i32"], body, exported: "f" });
      const module = start(builder.build());
      module.begin(FUEL);
      const pagesMax = Math.min(max ?? 16, 16);
      expect(module.call("f")).toBe(pagesMax);
      expect(module.module.info.memory).toEqual({ pagesMin: 1, pagesMax });
      expect((module.exports["caxton:memory"] as WebAssembly.Memory).buffer.byteLength).toBe(
        pagesMax * 65_536,
      );
    }
  });

  test("every table is capped", () => {
    const builder = new ModuleBuilder();
    builder.table(2);
    builder.table(2, 1_000_000, "externref");
    for (const [index, type] of [0x70, 0x6f].entries()) {
      const grow = [0xd0, type, ...i32(7), ...bulk(15, index)];
      const body = [...loop(VOID, grow, i32(0), [0x4e], brIf(0)), ...bulk(16, index)];
      builder.function({ results: ["i32"], body, exported: `f${index}` });
    }
    const module = start(builder.build());
    module.begin(FUEL);
    expect([module.call("f0"), module.call("f1")]).toEqual([100, 100]);
    expect(module.module.info.tables).toEqual([
      { elementType: "funcref", min: 2, max: 100 },
      { elementType: "externref", min: 2, max: 100 },
    ]);
  });
});

describe("what the host gets", () => {
  test("the handler begins and handles in one call", () => {
    const handler = [...local.get(0), ...local.get(1), ...OPS.add];
    const { exports, fuel } = start(agentBuilder(handler).build());
    const handle = exports["caxton:handle"] as (ptr: number, len: number, fuel: bigint) => number;
    expect(handle(40, 2, 1000n)).toBe(42);
    expect(fuel()).toBe(997);
  });

  test("mutable numbers are exported, other mutable globals make the module replay only", () => {
    const builder = agentBuilder();
    builder.global("i32", false, i32(1));
    builder.global("i64", true, [0x42, 5]);
    builder.global("f64", true, [0x44, 0, 0, 0, 0, 0, 0, 0, 0x40]);
    builder.global("externref", true, [0xd0, 0x6f]);
    builder.global("v128", true, [0xfd, 0x0c, ...new Uint8Array(16)]);
    const { module, exports } = start(builder.build());
    expect(module.info.mutableGlobals).toEqual([
      { index: 1, exportName: "caxton:g1", type: "i64" },
      { index: 2, exportName: "caxton:g2", type: "f64" },
    ]);
    expect((exports["caxton:g1"] as WebAssembly.Global).value).toBe(5n);
    expect((exports["caxton:g2"] as () => bigint)()).toBe(0x4000000000000000n);
    expect(module.info.replayOnlyReasons).toEqual([
      "mutable externref global",
      "mutable v128 global",
    ]);
    expect(module.info.replayOnly).toBe(true);
  });

  test.each<[string, Code]>([
    ["table.set", [...i32(0), 0xd0, 0x70, 0x26, 0]],
    ["table.grow", [0xd0, 0x70, ...i32(1), ...bulk(15, 0), ...OPS.drop]],
    ["table.fill", [...i32(0), 0xd0, 0x70, ...i32(1), ...bulk(17, 0)]],
    ["table.copy", [...i32(0), ...i32(0), ...i32(1), ...bulk(14, 0, 0)]],
    ["table.init", [...i32(0), ...i32(0), ...i32(1), ...bulk(12, 0, 0)]],
    ["elem.drop", bulk(13, 0)],
    ["data.drop", bulk(9, 0)],
  ])("%s makes a module replay only", (reason, body) => {
    const builder = new ModuleBuilder();
    builder.table(1);
    builder.passiveElements([0]);
    builder.passiveData([1]);
    builder.function({ body, exported: "f" });
    const { info } = rewriteModule(builder.build(), LIMITS);
    expect(info).toMatchObject({ replayOnly: true, replayOnlyReasons: [reason] });
  });

  test("names stay for stack traces, other custom sections go", () => {
    const builder = new ModuleBuilder();
    builder.function({ body: OPS.unreachable, exported: "f" });
    const name = [...new TextEncoder().encode("breaks")];
    const functions = [1, 0, name.length, ...name];
    builder.custom("producers", [1, 2, 3]);
    builder.custom("name", [1, functions.length, ...functions]);
    const module = new WebAssembly.Module(rewriteModule(builder.build(), LIMITS).bytes);
    expect(WebAssembly.Module.customSections(module, "producers")).toHaveLength(0);
    const { exports } = new WebAssembly.Instance(module);
    (exports["caxton:begin"] as (fuel: bigint) => void)(FUEL);
    try {
      (exports["f"] as () => void)();
      expect.unreachable();
    } catch (error) {
      expect((error as Error).stack).toContain("breaks");
    }
  });

  test("equal bytes and limits give equal bytes", () => {
    const bytes = agentBuilder(loop(0x7f, i32(1))).build();
    const [first, second] = [rewriteModule(bytes, LIMITS), rewriteModule(bytes, LIMITS)];
    expect(Buffer.compare(first.bytes, second.bytes)).toBe(0);
  });
});
