import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { deployPipeline } from "../../src/actors/wasm/deploy/pipeline.ts";
import { WasmInstance } from "../../src/actors/wasm/instance.ts";
import { templateImage } from "../../src/actors/wasm/loaded-module.ts";
import type { LoadedModule } from "../../src/actors/wasm/loaded-module.ts";
import {
  DeltaEncoder,
  decodeDelta,
  deltaOf,
  encodeDelta,
} from "../../src/actors/wasm/memory-delta.ts";
import { coreDoor } from "../../src/actors/wasm/core-door.ts";
import { EffectRing } from "../../src/actors/wasm/effects.ts";
import { Spares } from "../../src/actors/wasm/spares.ts";
import { HostTrap, TurnContext } from "../../src/actors/wasm/turn-context.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { LIMITS } from "../support/rewritten.ts";
import { OPS, agentBuilder, call, i32, ModuleBuilder } from "../support/wasm-builder.ts";
import type { Code } from "../support/wasm-builder.ts";

const AGENT = { ...LIMITS, fuelPerMessage: 1_000_000, turnTimeoutMs: 1000 };
const NODE = { moduleBytesMax: 1_000_000 };
const BASE = "ab".repeat(32);

async function load(bytes: Uint8Array): Promise<LoadedModule> {
  const outcome = await deployPipeline(bytes, AGENT, NODE);
  if (!outcome.passed) throw outcome.refusal;
  const { module, door, template } = outcome.code;
  const { replayOnly, mutableGlobals } = module.info;
  const moduleSha256 = createHash("sha256").update(module.bytes).digest("hex");
  return {
    module: new WebAssembly.Module(Uint8Array.from(module.bytes)),
    door,
    globals: mutableGlobals.map(({ exportName }) => exportName),
    replayOnly,
    template: template && decodeDelta(template, moduleSha256),
    sourceMap: undefined,
  };
}

type HostFunctions = Record<string, (...args: unknown[]) => unknown>;

/** Initialises 40 to 7, the last word of a grown page to 9, and leaves numbers of all types behind. */
function builder(): ModuleBuilder {
  const built = agentBuilder();
  built.data(8, [1, 2, 3]);
  const globals = [
    built.global("i32", true, i32(0)),
    built.global("i64", true, [0x42, 0]),
    built.global("f32", true, [0x43, 0, 0, 0, 0]),
    built.global("f64", true, [0x44, 0, 0, 0, 0, 0, 0, 0, 0]),
  ];
  const set = (i: number, value: Code): Code => [...value, 0x24, globals[i]!];
  const body = [
    ...[...i32(1), ...OPS.memoryGrow, ...OPS.drop],
    ...[...i32(40), ...i32(7), 0x36, 2, 0],
    ...[...OPS.memorySize, ...i32(16), 0x74, ...i32(4), 0x6b, ...i32(9), 0x36, 2, 0],
    ...set(0, i32(-5)),
    ...set(1, [0x42, 0x7b]),
    ...set(2, [0x43, 0x01, 0x00, 0x80, 0x7f]),
    ...set(3, [0x44, 0xef, 0xbe, 0, 0, 0xad, 0xde, 0xf8, 0xff]),
  ];
  built.function({ body, exported: "_initialize" });
  return built;
}

describe("a template", () => {
  test("makes a fresh instance what initialisation makes of it, the bits of a NaN included", async () => {
    const loaded = await load(builder().build());
    const initialised = new WasmInstance(loaded, {});
    initialised.initialize(1_000_000n);
    initialised.refresh();
    const started = new WasmInstance(loaded, {});
    started.advance(loaded.template!);
    expect(started.image()).toEqual(initialised.image());
    expect(started.globalValues()).toEqual([
      -5,
      -5n,
      0x7f800001,
      0xfff8deadn * (1n << 32n) + 0xbeefn - (1n << 64n),
    ]);
    expect(templateImage(loaded, loaded.template!)).toEqual(initialised.image());
    expect(loaded.template!.ranges).toEqual(Uint32Array.of(40, 4, initialised.memoryBytes - 4, 4));
  });

  test("is the same each time, and names its module", async () => {
    const bytes = builder().build();
    const outcomes = await Promise.all([1, 2].map(() => deployPipeline(bytes, AGENT, NODE)));
    const [first, second] = outcomes.map((outcome) => outcome.passed && outcome.code.template);
    expect(first).toBeInstanceOf(Uint8Array);
    expect(first).toEqual(second);
    expect(() => decodeDelta(first as Uint8Array, BASE)).toThrow(/belongs to ab/);
  });

  test("is not there for a module that changes tables", async () => {
    const built = agentBuilder();
    built.table(2);
    built.function({ body: [...i32(0), 0xd0, 0x70, 0x26, 0] });
    expect(await load(built.build())).toMatchObject({ replayOnly: true, template: undefined });
  });

  test("can't hold an effect: the deployment is refused", async () => {
    const built = new ModuleBuilder();
    const send = built.importFunction("caxton", "send", ["i32", "i32"], []);
    agentBuilder(i32(0), built);
    built.function({ body: [...i32(0), ...i32(0), ...call(send)], exported: "_initialize" });
    const outcome = await deployPipeline(built.build(), AGENT, NODE);
    expect(outcome.stages.at(-1)!.findings.map(({ message }) => message)).toEqual([
      "The module's initialisation failed: send was called before the first message.",
    ]);
  });

  test("knows time 0 and seed 0, and nothing that comes with a message", () => {
    const turn = new TurnContext(new EffectRing(0), [], 0);
    turn.beginInitialisation({ bytes: Buffer.alloc(64), refresh: () => undefined });
    const { now, random, log, fail, ...others } = coreDoor.imports(turn)["caxton"] as HostFunctions;
    expect(now!()).toBe(0);
    expect(random!()).toBe(new SeededRandom(0).nextFloat());
    expect(log!(1, 0, 4)).toBe(undefined);
    expect(() => fail!(0, 0)).toThrow(HostTrap);
    for (const [name, call] of Object.entries(others)) {
      const first = name.startsWith("timer") ? 0n : 0;
      expect(() => call(first, 0, 0, 0)).toThrow(`${name} was called before the first message`);
    }
  });
});

describe("a spare instance", () => {
  async function used(): Promise<{ loaded: LoadedModule; instance: WasmInstance }> {
    const loaded = await load(builder().build());
    const instance = new WasmInstance(loaded, {});
    instance.advance(loaded.template!);
    instance.bytes.fill(0xff, 5000, 70_000);
    instance.advance({ ...loaded.template!, globals: [1, 2n, 3, 4n] });
    return { loaded, instance };
  }

  test("is as its template again, whatever its actor did to it", async () => {
    const { loaded, instance } = await used();
    const spares = new Spares();
    spares.give(loaded, instance);
    expect(spares.take(loaded)).toBe(instance);
    expect(instance.image()).toEqual(templateImage(loaded, loaded.template!));
    expect(spares.take(loaded)).toBe(undefined);
  });

  test("goes to no other module", async () => {
    const { loaded, instance } = await used();
    const spares = new Spares();
    spares.give(loaded, instance);
    expect(spares.take({ ...loaded })).toBe(undefined);
  });

  test("is not made of memory that has grown, nor of a module without a template", async () => {
    const { loaded, instance } = await used();
    const spares = new Spares();
    spares.give({ ...loaded, template: undefined }, instance);
    const { memoryBytes } = instance;
    instance.advance({ ...loaded.template!, memoryBytes: memoryBytes + 65_536 });
    spares.give(loaded, instance);
    expect(spares.take(loaded)).toBe(undefined);
  });
});

describe("a difference of memories", () => {
  test("names exactly the words that differ, in either direction, and what was grown", () => {
    const base = Buffer.alloc(2 * 65_536, 3);
    const memory = Buffer.concat([base, Buffer.alloc(2 * 65_536)]);
    memory[4095] = 4;
    memory.fill(0, 3 * 4096, 4 * 4096);
    memory[2 * 65_536 + 4096] = 1;
    const delta = deltaOf(base, memory, [1, 2n]);
    const grown = 2 * 65_536 + 4096;
    expect([...delta.ranges]).toEqual([4092, 4, 3 * 4096, 4096, grown, 4]);
    memory[grown + 36] = 1;
    expect([...deltaOf(base, memory, []).ranges].slice(4)).toEqual([grown, 40]);
    memory[grown + 36] = 0;
    memory[grown + 40] = 1;
    expect([...deltaOf(base, memory, []).ranges].slice(4)).toEqual([grown, 4, grown + 40, 4]);
    memory[grown + 40] = 0;
    const again = decodeDelta(encodeDelta(delta, BASE), BASE);
    expect(again).toEqual(delta);
    const encoder = new DeltaEncoder();
    encoder.encode(Buffer.alloc(0), Buffer.alloc(65_536, 1), [], BASE);
    const encoded = encoder.encode(base, memory, [1, 2n], BASE);
    expect(decodeDelta(encoded, BASE)).toEqual(delta);
  });

  test("is refused when bytes are missing", () => {
    const encoded = encodeDelta(deltaOf(Buffer.alloc(0), Buffer.alloc(65_536, 1), []), BASE);
    for (const length of [0, 20, 60, encoded.length - 1]) {
      expect(() => decodeDelta(encoded.subarray(0, length), BASE)).toThrow(/no memory image/);
    }
  });
});
