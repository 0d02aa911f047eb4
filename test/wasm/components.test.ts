import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { SeededRandom } from "../../src/base/random.ts";
import { unwrapComponent } from "../../src/actors/wasm/component/unwrap-component.ts";
import { HOST_FUNCTIONS, HOST_INTERFACE } from "../../src/actors/wasm/component/world.ts";
import { runStaticStage } from "../../src/actors/wasm/deploy/static-stage.ts";
import { ModuleBuilder, unsigned } from "../support/wasm-builder.ts";

/** Made by the standard tools: see sdk/wit/build.sh. */
const probe = readFileSync(
  new URL("../agents/fixtures/probe-component/agent.wasm", import.meta.url),
);

const LIMITS = {
  memoryPagesMax: 16,
  tableElementsMax: 100,
  callDepthMax: 500,
  moduleBytesMax: 100_000,
};

const findingsOf = (bytes: Uint8Array) => runStaticStage(bytes, LIMITS).findings;
const messagesOf = (bytes: Uint8Array) => findingsOf(bytes).map(({ message }) => message);

/** The probe with every occurrence of a text replaced by one that is as long. */
function renamed(from: string, to: string): Uint8Array {
  expect(Buffer.byteLength(to)).toBe(Buffer.byteLength(from));
  const text = probe.toString("latin1");
  expect(text).toContain(from);
  return Buffer.from(text.replaceAll(from, to), "latin1");
}

type Bytes = readonly number[];

const name = (text: string): number[] => [...unsigned(text.length), ...Buffer.from(text)];
const section = (id: number, content: Bytes): Buffer =>
  Buffer.from([id, ...unsigned(content.length), ...content]);
const one = (id: number, item: Bytes): Buffer => section(id, [1, ...item]);
const appended = (...sections: readonly Buffer[]): Buffer => Buffer.concat([probe, ...sections]);
const coreModule = (builder: ModuleBuilder): Buffer => section(1, [...builder.build()]);

function withMemory(): ModuleBuilder {
  const builder = new ModuleBuilder();
  builder.memory(1);
  return builder;
}

const HEADER = Buffer.from([0x00, 0x61, 0x73, 0x6d, 0x0d, 0x00, 0x01, 0x00]);

/**
 * A component whose main module, the last one, imports function `call` of `lib` from core instance 0, which the
 * sections make.
 */
function importing(sections: readonly Buffer[], mainIndex: number): Buffer {
  const main = new ModuleBuilder();
  main.importFunction("lib", "call", ["i32"], []);
  main.memory(1);
  main.export("memory", 2, 0);
  main.function({ body: [], exported: "handle" });
  const functionIndex = sections.length === 1 ? 0 : 1;
  return Buffer.concat([
    HEADER,
    ...sections,
    coreModule(main),
    one(2, [0x00, mainIndex, 1, ...name("lib"), 0x12, 0]),
    one(6, [0x00, 0x00, 0x01, 1, ...name("handle")]),
    one(7, [0x40, 0, 0x01, 0x00]),
    one(8, [0x00, 0x00, functionIndex, 0, functionIndex]),
    one(11, [0x00, ...name("handle"), 0x01, 0, 0]),
  ]);
}

describe("a component of the standard tools", () => {
  test("is its main core module, which goes on through the ordinary checks", () => {
    const { findings, module, door } = runStaticStage(probe, LIMITS);
    expect(findings).toEqual([]);
    expect(door).toBe("component");
    expect(module?.info.memory?.pagesMax).toBe(LIMITS.memoryPagesMax);
  });

  test("calls every function of the host with the types of sdk/wit", () => {
    const { module } = unwrapComponent(probe);
    const imports = WebAssembly.Module.imports(new WebAssembly.Module(Buffer.from(module!)));
    expect(new Set(imports.map((entry) => entry.module))).toEqual(new Set([HOST_INTERFACE]));
    expect(imports.map((entry) => entry.name).sort()).toEqual(Object.keys(HOST_FUNCTIONS).sort());
  });
});

describe("refused is", () => {
  test("one that is cut off anywhere", () => {
    for (let length = 8; length < probe.length; length += 97) {
      const { findings, module } = runStaticStage(probe.subarray(0, length), LIMITS);
      expect(module).toBeUndefined();
      expect(findings.length).toBeGreaterThan(0);
      for (const { hint } of findings) expect(hint).toMatch(/\./);
    }
    expect(messagesOf(probe.subarray(0, 500))).toEqual([
      expect.stringMatching(/^The component ends too early \(at byte \d+\)\.$/),
    ]);
  });

  test("another version of the format", () => {
    const bytes = Buffer.from(probe);
    bytes[4] = 0x0c;
    expect(messagesOf(bytes)).toEqual([
      "The component has version 12 of the binary format; version 13 is known.",
    ]);
  });

  test("one with several core memories", () => {
    expect(messagesOf(appended(coreModule(withMemory())))).toEqual([
      "The component has 2 core modules with a memory each (0, 4); one is run.",
    ]);
  });

  test("one for another world", () => {
    const [finding] = findingsOf(Buffer.concat([HEADER, coreModule(withMemory())]));
    expect(finding?.message).toBe(
      "The component does not export the function handle; it exports nothing.",
    );
    expect(finding?.hint).toMatch(/sdk\/wit\/caxton-agent\.wit/);
  });

  test("one for another version of the world", () => {
    const findings = findingsOf(renamed("agent/host@0.1.0", "agent/host@0.2.0"));
    expect(findings[0]?.message).toMatch(
      /The component needs \S+ of caxton:agent\/host@0\.2\.0, which the server does not have\./,
    );
    expect(findings[0]?.hint).toMatch(/Did you mean caxton:agent\/host@0\.1\.0\?/);
  });

  test("one that needs more of WASI, by its name", () => {
    const findings = findingsOf(renamed("caxton:agent/host@0.1.0", "wasi:clocks/wall@0.2.10"));
    expect(findings[0]?.message).toMatch(/needs \S+ of wasi:clocks\/wall@0\.2\.10/);
    expect(findings[0]?.hint).toMatch(/wasi_snapshot_preview1/);
  });

  test("one with other types, which are shown beside those that must be", () => {
    const findings = findingsOf(renamed("wants-reply", "wants-repli"));
    expect(findings).toHaveLength(1);
    expect(findings[0]?.at).toBe("export handle");
    expect(findings[0]?.message).toMatch(/wants-repli.*it must be .*wants-reply/);
  });

  test("one that calls what the host does not have", () => {
    const findings = findingsOf(renamed("timer-cancel", "timer-cancal"));
    expect(findings.map(({ at }) => at)).toContain(`import ${HOST_INTERFACE}#timer-cancal`);
    expect(findings[0]?.hint).toMatch(/Did you mean timer-cancel\?/);
  });

  test("async", () => {
    expect(messagesOf(appended(one(8, [0x0c])))).toEqual([expect.stringMatching(/async/)]);
    const lifted = Buffer.from(probe);
    // The last canonical definition lifts `handle`: its option of the memory becomes two, `async` and UTF-8.
    const at = lifted.lastIndexOf(Buffer.from([0x00, 0x00, 0x27]));
    expect(at).toBeGreaterThan(0);
    const option = lifted.indexOf(Buffer.from([0x03, 0x00]), at);
    lifted.set([0x06, 0x00], option);
    lifted[at + 3]! += 1;
    expect(messagesOf(lifted).join(" ")).toMatch(/async/);
  });

  test("a start function, values and core types", () => {
    expect(messagesOf(appended(section(9, [0, 0, 0])))).toEqual([
      expect.stringMatching(/a start function/),
    ]);
    expect(messagesOf(appended(one(3, [0x60, 0, 0])))).toEqual([
      expect.stringMatching(/core types/),
    ]);
  });

  test("one that uses resources", () => {
    const sections = [
      one(7, [0x3f, 0x7f, 0x00]),
      one(8, [0x03, 0]),
      one(2, [0x01, 1, ...name("call"), 0x00, 0]),
    ];
    expect(messagesOf(importing(sections, 0)).join(" ")).toMatch(/resources \(resource\.drop\)/);
  });

  test("one whose core modules call one another", () => {
    const library = new ModuleBuilder();
    library.function({ params: ["i32"], body: [], exported: "call" });
    const sections = Buffer.concat([coreModule(library), one(2, [0x00, 0, 0])]);
    expect(messagesOf(importing([sections], 1)).join(" ")).toMatch(
      /calls lib\.call of core module 0; one that stands alone is run/,
    );
  });

  test("nothing else by an exception: bytes that were changed anywhere", () => {
    const random = new SeededRandom(5);
    const parts = probe.length - 4000;
    for (let i = 0; i < 2000; i++) {
      const bytes = Buffer.from(probe);
      // All but the code of the main module, which the checks of modules look at.
      const at = random.chance(0.5) ? random.below(983) : parts + random.below(4000);
      bytes[at] = random.below(256);
      expect(Array.isArray(unwrapComponent(bytes).findings)).toBe(true);
    }
  });
});
