import { describe, expect, test } from "vitest";
import { BOUNDS } from "../../src/actors/wasm/rewrite/bounds.ts";
import { runStaticStage, type StaticLimits } from "../../src/actors/wasm/deploy/static-stage.ts";
import {
  ModuleBuilder,
  OPS,
  agentBuilder,
  block,
  bulk,
  call,
  i32,
  local,
  unsigned,
  type Code,
} from "../support/wasm-builder.ts";
import { LIMITS } from "../support/rewritten.ts";

const STATIC_LIMITS: StaticLimits = { ...LIMITS, moduleBytesMax: 1_000_000 };

function findingsOf(bytes: Uint8Array, limits: Partial<StaticLimits> = {}) {
  return runStaticStage(bytes, { ...STATIC_LIMITS, ...limits }).findings;
}

function messagesOf(bytes: Uint8Array, limits?: Partial<StaticLimits>): string[] {
  return findingsOf(bytes, limits).map(({ message }) => message);
}

/** A module of raw sections: id and content. */
function rawModule(...sections: readonly (readonly [id: number, content: Code])[]): Uint8Array {
  const body = sections.flatMap(([id, content]) => [id, ...unsigned(content.length), ...content]);
  return Uint8Array.from([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, ...body]);
}

/** An agent with one more function. */
function withFunction(body: Code): ModuleBuilder {
  const builder = agentBuilder();
  builder.function({ body });
  return builder;
}

test("an agent passes without a finding", () => {
  const { findings, module } = runStaticStage(agentBuilder().build(), STATIC_LIMITS);
  expect(findings).toEqual([]);
  expect(module && WebAssembly.validate(module.bytes)).toBe(true);
});

describe("the file", () => {
  test("too large", () => {
    expect(messagesOf(agentBuilder().build(), { moduleBytesMax: 20 })).toEqual([
      expect.stringMatching(/^The module has \d+ bytes; limits.moduleBytesMax is 20\.$/),
    ]);
  });

  test.each([
    ["empty", []],
    ["text", [...new TextEncoder().encode("(module (memory 1))")]],
    ["an ELF file", [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0]],
  ])("%s is not WebAssembly", (_name, bytes) => {
    expect(messagesOf(Uint8Array.from(bytes))).toEqual([expect.stringMatching(/^Not WebAssembly/)]);
  });

  test("an unknown version", () => {
    const bytes = [0x00, 0x61, 0x73, 0x6d, 0x02, 0x00, 0x00, 0x00];
    expect(messagesOf(Uint8Array.from(bytes))).toEqual([expect.stringMatching(/version 2/)]);
  });

  test("cut off anywhere it is refused, with the engine's reason or for what is missing", () => {
    const bytes = agentBuilder().build();
    expect(messagesOf(bytes.subarray(0, 6))).toEqual(["The module is truncated."]);
    for (let length = 8; length < bytes.length; length += 1) {
      const { findings, module } = runStaticStage(bytes.subarray(0, length), STATIC_LIMITS);
      expect(module).toBeUndefined();
      expect(findings.length).toBeGreaterThan(0);
    }
    expect(messagesOf(bytes.subarray(0, 20)).join(" ")).toMatch(/The module is not valid: /);
  });

  test("what the engine refuses is refused in its words", () => {
    const wrongType = agentBuilder();
    wrongType.function({ results: ["i32"], body: [0x42, 0] });
    expect(messagesOf(wrongType.build()).join(" ")).toMatch(
      /The module is not valid: Compiling function #2 failed: .*expected i32/,
    );
  });
});

describe("extensions", () => {
  const refused: [string, () => Uint8Array, RegExp][] = [
    ["shared memory", () => withMemory(1, 2, 3), /threads/],
    ["64-bit memory", () => withMemory(1, 2, 5), /64-bit/],
    ["several memories", () => withMemory(1, undefined, 0, 1), /more than one memory/],
    ["atomics", () => withFunction([...i32(0), 0xfe, 0x10, 2, 0, 0x1a]).build(), /threads/],
    ["relaxed SIMD", () => withFunction(RELAXED).build(), /relaxed SIMD/],
    ["tail calls", () => withFunction([0x12, 2]).build(), /tail calls/],
    ["indirect tail calls", () => tailCallThroughTable(), /tail calls/],
    ["old exceptions", () => withFunction([0x06, 0x40, 0x19, 0x0b]).build(), /exceptions/],
    ["new exceptions", () => withFunction([0x1f, 0x40, 0, 0x0b]).build(), /exceptions/],
    ["tags", () => rawModule([1, [1, 0x60, 0, 0]], [13, [1, 0, 0]]), /exceptions/],
    ["struct types", () => rawModule([1, [1, 0x5f, 1, 0x7f, 0]]), /garbage-collected/],
    ["recursive types", () => rawModule([1, [1, 0x4e, 1, 0x60, 0, 0]]), /garbage-collected/],
    ["i31 references", () => withFunction([...i32(1), 0xfb, 28, 0x1a]).build(), /garbage/],
    ["typed references", () => withFunction([0xd2, 0, 0xd4, 0x1a]).build(), /garbage-collected/],
  ];
  const RELAXED = [
    ...[0xfd, 0x0c, ...new Uint8Array(16)],
    ...[0xfd, 0x0c, ...new Uint8Array(16)],
    ...[0xfd, ...unsigned(0x100), 0x1a],
  ];

  function withMemory(min: number, max: number | undefined, flags: number, more = 0): Uint8Array {
    const builder = new ModuleBuilder();
    builder.memory(min, max, flags);
    for (let index = 0; index < more; index += 1) builder.memory(1);
    builder.export("memory", 2, 0);
    return builder.build();
  }

  function tailCallThroughTable(): Uint8Array {
    const builder = withFunction([...i32(0), 0x13, 2, 0]);
    builder.table(1);
    return builder.build();
  }

  test.each(refused)("%s", (_name, make, message) => {
    const findings = findingsOf(make());
    expect(findings.map((one) => one.message).join(" ")).toMatch(message);
    for (const { at, hint } of findings) {
      expect(at).not.toBe("");
      expect(hint).toMatch(/\./);
    }
  });

  test("plain SIMD and reference types are accepted", () => {
    const splat = [...i32(3), 0xfd, 0x11, 0xfd, 0x0c, ...new Uint8Array(16), 0xfd, 0xae, 0x01];
    const builder = withFunction([...splat, 0xfd, 0x1b, 3, ...OPS.drop, 0xd0, 0x6f, ...OPS.drop]);
    expect(messagesOf(builder.build())).toEqual([]);
  });
});

describe("bounds", () => {
  test("memory and table minimums above the cap", () => {
    const builder = agentBuilder();
    builder.table(101);
    const bytes = builder.build();
    expect(messagesOf(bytes, { memoryPagesMax: 0 })).toEqual([
      "The module needs at least 1 pages of memory; limits.memoryPagesMax is 0.",
      "A table needs at least 101 elements; limits.tableElementsMax is 100.",
    ]);
  });

  test("slots of one function", () => {
    const builder = agentBuilder();
    builder.function({ locals: [[BOUNDS.slotsMax, "i32"]], body: [] });
    builder.function({ locals: [[BOUNDS.slotsMax / 2 + 1, "v128"]], body: [] });
    const operands = Array.from({ length: BOUNDS.slotsMax + 1 }, () => i32(1)).flat();
    builder.function({ body: [...operands, ...OPS.return] });
    expect(messagesOf(builder.build())).toEqual([
      expect.stringMatching(/holds 5002 parameters, locals and operands/),
      expect.stringMatching(/holds 5001 /),
    ]);
  });

  test("tables, globals and exports", () => {
    const builder = agentBuilder();
    for (let index = 0; index <= BOUNDS.tablesMax; index += 1) builder.table(1);
    for (let index = 0; index <= BOUNDS.globalsMax; index += 1) {
      builder.global("i32", true, i32(index));
      builder.export(`g${index}`, 3, index);
    }
    expect(messagesOf(builder.build())).toEqual([
      "The module has 9 tables; 8 are allowed.",
      "The module has 5001 globals; 5000 are allowed.",
      "The module has 5004 exports; 5000 are allowed.",
    ]);
  });

  test("a count of four thousand million is no reason to reserve room", () => {
    const huge = [0xff, 0xff, 0xff, 0xff, 0x0f];
    for (const id of [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13]) {
      expect(findingsOf(rawModule([id, huge])).length).toBeGreaterThan(0);
    }
    const locals = agentBuilder();
    locals.function({ locals: [[4_000_000_000, "i64"]], body: [] });
    expect(messagesOf(locals.build()).join(" ")).toMatch(/not valid/);
  });

  test("a hundred thousand nested blocks are walked without recursion", () => {
    const depth = 100_000;
    const body = [
      ...Array(depth).fill([0x02, 0x40]).flat(),
      ...Array(depth).fill(0x0b),
    ] as number[];
    expect(messagesOf(withFunction([...call(0), ...body].slice(2)).build())).toEqual([]);
  });

  test("numbers longer than the format allows are refused", () => {
    const endless = Array.from({ length: 20 }, () => 0x80);
    expect(messagesOf(rawModule([1, endless])).join(" ")).toMatch(/not valid/);
    const section = Uint8Array.from([...rawModule(), 1, ...endless]);
    expect(messagesOf(section).join(" ")).toMatch(/more than 32 bits/);
  });
});

describe("imports", () => {
  test("an unknown function is refused with the nearest one", () => {
    const builder = new ModuleBuilder();
    builder.importFunction("caxton", "state_gett", ["i32"], []);
    builder.importFunction("wasi_snapshot_preview", "fd_write", [], []);
    builder.importFunction("env", "emscripten_resize_heap", ["i32"], ["i32"]);
    builder.importFunction("constructor", "name", [], []);
    builder.importFunction("caxton", "__proto__", [], []);
    const findings = findingsOf(builder.build()).filter(({ at }) => at.startsWith("import"));
    expect(findings.map(({ at }) => at)).toEqual([
      "import caxton.state_gett",
      "import wasi_snapshot_preview.fd_write",
      "import env.emscripten_resize_heap",
      "import constructor.name",
      "import caxton.__proto__",
    ]);
    expect(findings[0]?.hint).toMatch(/Did you mean caxton\.state_get\?/);
    expect(findings[1]?.hint).toMatch(/Did you mean wasi_snapshot_preview1\?/);
  });

  test("a wrong type is refused with the right one", () => {
    const builder = new ModuleBuilder();
    builder.importFunction("caxton", "now", [], ["i64"]);
    expect(messagesOf(builder.build())[0]).toBe(
      "The module imports caxton.now as () -> i64; it must be () -> f64.",
    );
  });

  test("only functions can be imported", () => {
    const builder = agentBuilder();
    builder.importRaw("env", "__indirect_table", [0x01, 0x70, 0x00, 1]);
    builder.importRaw("env", "base", [0x03, 0x7f, 0x00]);
    const messages = messagesOf(builder.build());
    expect(messages).toEqual([
      expect.stringMatching(/imports the table env\.__indirect_table; only functions/),
      expect.stringMatching(/imports the global env\.base; only functions/),
    ]);
  });

  test("everything the documentation lists is accepted", () => {
    const builder = new ModuleBuilder();
    builder.importFunction("caxton", "ask", ["i32", "i32", "i32"], ["i64"]);
    builder.importFunction("wasi_snapshot_preview1", "fd_write", Array(4).fill("i32"), ["i32"]);
    builder.importFunction("env", "abort", Array(4).fill("i32"), []);
    expect(findingsOf(builder.build()).filter(({ at }) => at.startsWith("import"))).toEqual([]);
  });
});

describe("exports", () => {
  test("what is missing is named, with a near one and a word on commands", () => {
    const builder = new ModuleBuilder();
    builder.function({ body: [], exported: "caxton_handl" });
    builder.function({ body: [], exported: "_start" });
    const findings = findingsOf(builder.build());
    expect(findings.map(({ message }) => message)).toEqual([
      "The module does not export its memory as memory.",
      "The module does not export caxton_alloc (i32) -> i32.",
      "The module does not export caxton_handle (i32, i32) -> i32.",
    ]);
    expect(findings[1]?.hint).toMatch(/WASI command/);
    expect(findings[2]?.hint).toMatch(/Is it the export caxton_handl\?/);
  });

  test("wrong types are named, of optional exports too", () => {
    const builder = new ModuleBuilder();
    builder.memory(1);
    builder.global("i32", false, i32(0));
    builder.export("memory", 3, 0);
    builder.export("caxton_alloc", 2, 0);
    builder.function({ params: ["i64"], body: [], exported: "caxton_handle" });
    builder.function({ params: ["i32"], body: [], exported: "_initialize" });
    builder.function({ body: [], exported: "caxton_health" });
    expect(messagesOf(builder.build())).toEqual([
      "The module does not export its memory as memory.",
      "The module exports caxton_alloc as a memory; it must be a function.",
      "The module exports caxton_handle as (i64) -> (); it must be (i32, i32) -> i32.",
      "The module exports _initialize as (i32) -> (); it must be () -> ().",
      "The module exports caxton_health as () -> (); it must be () -> i32.",
    ]);
  });

  test("reserved names are refused", () => {
    const builder = agentBuilder();
    builder.export("caxton:fuel", 0, 0);
    expect(messagesOf(builder.build())).toEqual([
      "The module exports caxton:fuel; names that begin with caxton: are reserved.",
    ]);
  });
});

test("all findings come at once, and not without end", () => {
  const builder = new ModuleBuilder();
  for (let index = 0; index < 500; index += 1) {
    builder.importRaw("env", `g${index}`, [0x03, 0x7f, 0x00]);
  }
  builder.importFunction("caxton", "sennd", [], []);
  builder.memory(1000, 1000, 3);
  builder.export("caxton:mine", 2, 0);
  builder.function({ body: block(0x40, [...local.get(0)], bulk(0)) });
  const messages = messagesOf(builder.build());
  expect(messages.length).toBeLessThan(150);
  expect(messages.join(" ")).toMatch(/not valid.*threads.*findings are left out.*caxton\.sennd/);
});
