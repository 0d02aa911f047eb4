import { describe, expect, test } from "vitest";
import { deployPipeline, type DeployAgentLimits } from "../../src/actors/wasm/deploy/pipeline.ts";
import { runSandbox } from "../../src/actors/wasm/deploy/sandbox.ts";
import { rewriteModule } from "../../src/actors/wasm/rewrite/rewriter.ts";
import {
  ModuleBuilder,
  OPS,
  VOID,
  agentBuilder,
  br,
  call,
  global,
  i32,
  loop,
  type Code,
} from "../support/wasm-builder.ts";

const LIMITS: DeployAgentLimits = {
  memoryPagesMax: 16,
  tableElementsMax: 100,
  callDepthMax: 500,
  fuelPerMessage: 1_000_000,
  turnTimeoutMs: 5_000,
};

function deploy(bytes: Uint8Array, limits: Partial<DeployAgentLimits> = {}) {
  return deployPipeline(bytes, { ...LIMITS, ...limits }, { moduleBytesMax: 100_000 });
}

/** What a refused module is told, and by which stage. */
async function refusalOf(bytes: Uint8Array, limits: Partial<DeployAgentLimits> = {}) {
  const outcome = await deploy(bytes, limits);
  if (outcome.passed) throw new Error("the module passed");
  const last = outcome.stages.at(-1)!;
  expect(last.passed).toBe(false);
  expect(last.findings).toEqual(outcome.refusal.findings);
  return {
    code: outcome.refusal.code,
    stage: last.stage,
    text: last.findings.map(({ message }) => message).join(" "),
  };
}

/** An agent whose `_initialize` is this. */
function initializing(body: Code): ModuleBuilder {
  const builder = agentBuilder();
  builder.function({ body, exported: "_initialize" });
  return builder;
}

const SPIN = loop(VOID, br(0));

describe("a module that passes", () => {
  test("comes back rewritten, with a report of four stages", async () => {
    const builder = initializing([...i32(2), ...OPS.memoryGrow, ...OPS.drop]);
    builder.table(7);
    builder.function({ results: ["i32"], body: i32(0), exported: "caxton_health" });
    const outcome = await deploy(builder.build());
    if (!outcome.passed) throw outcome.refusal;
    expect(outcome.stages.map(({ stage }) => stage)).toEqual([
      "static",
      "sandbox",
      "contract",
      "resources",
    ]);
    for (const { passed, findings } of outcome.stages) {
      expect(passed).toBe(true);
      expect(findings).toEqual([]);
    }
    expect(outcome.stages[2]?.facts).toEqual({ optionalExports: "_initialize, caxton_health" });
    expect(outcome.stages[3]?.facts).toMatchObject({
      memoryPages: "3",
      memoryPagesMax: "16",
      tableElements: "7",
      functions: "4",
      fuelInitialize: String(3 + 1000 + 2 * 1024),
      snapshots: "memory image, 0 bytes from the start",
    });
    expect(WebAssembly.validate(outcome.code.module.bytes)).toBe(true);
  });

  test("may call the host and WASI while it initialises", async () => {
    const builder = new ModuleBuilder();
    const now = builder.importFunction("caxton", "now", [], ["f64"]);
    const log = builder.importFunction("caxton", "log", ["i32", "i32", "i32"], []);
    const write = builder.importFunction(
      "wasi_snapshot_preview1",
      "fd_write",
      ["i32", "i32", "i32", "i32"],
      ["i32"],
    );
    const random = builder.importFunction(
      "wasi_snapshot_preview1",
      "random_get",
      ["i32", "i32"],
      ["i32"],
    );
    builder.memory(1);
    builder.export("memory", 2, 0);
    builder.function({
      params: ["i32"],
      results: ["i32"],
      body: i32(64),
      exported: "caxton_alloc",
    });
    builder.function({
      params: ["i32", "i32"],
      results: ["i32"],
      body: i32(0),
      exported: "caxton_handle",
    });
    const calls = [
      ...[...call(now), ...OPS.drop],
      ...[...i32(1), ...i32(0), ...i32(8), ...call(log)],
      ...[...i32(512), ...i32(32), ...call(random), ...OPS.drop],
      // Eight bytes to standard output; traps unless all of them are taken.
      ...[...i32(100), ...i32(0), 0x36, 2, 0, ...i32(104), ...i32(8), 0x36, 2, 0],
      ...[...i32(1), ...i32(100), ...i32(1), ...i32(120), ...call(write), ...OPS.drop],
      ...[...i32(120), 0x28, 2, 0, ...i32(8), 0x47, 0x04, VOID, ...OPS.unreachable, 0x0b],
    ];
    builder.function({ body: calls, exported: "_initialize" });
    const outcome = await deploy(builder.build());
    expect(outcome.stages.at(-1)).toMatchObject({ stage: "resources", passed: true });
  });

  test("runs alike each time: the sandbox is deterministic", async () => {
    const bytes = initializing([...i32(1), ...OPS.memoryGrow, ...OPS.drop]).build();
    const [first, second] = await Promise.all([deploy(bytes), deploy(bytes)]);
    expect(second.stages.map(({ facts }) => facts)).toEqual(first.stages.map(({ facts }) => facts));
  });
});

describe("a module is refused", () => {
  test("by the static stage, without being run", async () => {
    const { code, stage, text } = await refusalOf(Uint8Array.from([1, 2, 3]));
    expect([code, stage]).toEqual(["INVALID_MODULE", "static"]);
    expect(text).toMatch(/Not WebAssembly/);
    const builder = agentBuilder();
    builder.custom(
      "padding",
      Array.from({ length: 100_001 }, () => 0),
    );
    expect(await refusalOf(builder.build())).toMatchObject({
      code: "MODULE_TOO_LARGE",
      stage: "static",
    });
  });

  test("when its start function never ends: fuel stops it", async () => {
    const builder = agentBuilder();
    builder.start(builder.function({ body: SPIN }));
    const { stage, text } = await refusalOf(builder.build());
    expect(stage).toBe("sandbox");
    expect(text).toBe(
      "The module's initialisation failed: it used all its fuel (limits.fuelPerMessage is 1000000).",
    );
  });

  test("when it outlasts the time limit, however much fuel it has", async () => {
    const { stage, text } = await refusalOf(initializing(SPIN).build(), {
      fuelPerMessage: 1_000_000_000_000,
      turnTimeoutMs: 50,
    });
    expect(stage).toBe("sandbox");
    expect(text).toMatch(/it ran longer than limits\.turnTimeoutMs \(50 ms\)/);
  });

  test("when its initialisation recurses too deep, traps or leaves", async () => {
    const deep = agentBuilder();
    deep.function({ body: call(2), exported: "_initialize" });
    expect((await refusalOf(deep.build())).text).toMatch(
      /more calls than limits\.callDepthMax \(500\)/,
    );
    expect((await refusalOf(initializing(OPS.unreachable).build())).text).toMatch(
      /initialisation failed: unreachable\./,
    );
    const leaving = new ModuleBuilder();
    const exit = leaving.importFunction("wasi_snapshot_preview1", "proc_exit", ["i32"], []);
    leaving.memory(1);
    leaving.export("memory", 2, 0);
    const i32s = ["i32"] as const;
    leaving.function({ params: i32s, results: i32s, body: i32(0), exported: "caxton_alloc" });
    leaving.function({
      params: ["i32", "i32"],
      results: i32s,
      body: i32(0),
      exported: "caxton_handle",
    });
    leaving.function({ body: [...i32(7), ...call(exit)], exported: "_initialize" });
    expect((await refusalOf(leaving.build())).text).toMatch(/proc_exit\(7\)/);
  });

  test("when its data does not fit into its memory", async () => {
    const builder = agentBuilder();
    builder.data(
      65_530,
      Array.from({ length: 100 }, () => 1),
    );
    const { stage, text } = await refusalOf(builder.build());
    expect(stage).toBe("sandbox");
    expect(text).toMatch(/^The module can't be instantiated: .*data segment/);
  });

  test("when caxton_alloc traps, or points outside memory", async () => {
    const withAlloc = (body: Code): Uint8Array => {
      const builder = new ModuleBuilder();
      builder.memory(1);
      builder.export("memory", 2, 0);
      builder.function({ params: ["i32"], results: ["i32"], body, exported: "caxton_alloc" });
      const params = ["i32", "i32"] as const;
      builder.function({ params, results: ["i32"], body: i32(0), exported: "caxton_handle" });
      return builder.build();
    };
    const trapping = await refusalOf(withAlloc(OPS.unreachable));
    expect(trapping).toMatchObject({ stage: "sandbox", text: "caxton_alloc failed: unreachable." });
    const outside = await refusalOf(withAlloc(i32(-4)));
    expect(outside.stage).toBe("contract");
    expect(outside.text).toMatch(/address 4294967292, which lies outside the 65536 bytes/);
    expect((await refusalOf(withAlloc(i32(65_536 - 15)))).stage).toBe("contract");
    expect((await deploy(withAlloc(i32(65_536 - 16)))).passed).toBe(true);
  });

  test("when it says that it is not healthy", async () => {
    const builder = agentBuilder();
    const value = builder.global("i32", true, i32(3));
    builder.function({ results: ["i32"], body: global.get(value), exported: "caxton_health" });
    expect(await refusalOf(builder.build())).toMatchObject({
      stage: "contract",
      text: "caxton_health answers 3 before the first message; 0 is healthy.",
    });
  });
});

describe("the sandbox thread", () => {
  const request = {
    bytes: rewriteModule(initializing(SPIN).build(), LIMITS).bytes,
    door: "core",
    program: undefined,
    globals: [],
    fuel: 1e15,
    timeoutMs: 60_000,
    callDepthMax: 500,
  } as const;

  test("is ended when it does not answer, and main goes on meanwhile", async () => {
    let ticks = 0;
    const ticking = setInterval(() => (ticks += 1), 5);
    const { failure } = await runSandbox(request, 300);
    clearInterval(ticking);
    expect(failure?.step).toBe("thread");
    expect(failure?.reason).toBe("the thread did not answer within 300 ms");
    expect(ticks).toBeGreaterThan(3);
  });

  test("answers for bytes that do not compile", async () => {
    const { failure } = await runSandbox({ ...request, bytes: Uint8Array.from([1, 2, 3]) });
    expect(failure?.step).toBe("compile");
    expect(failure?.reason).toMatch(/WebAssembly\.Module/);
  });
});
