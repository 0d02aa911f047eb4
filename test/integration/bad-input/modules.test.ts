/** Modules and manifests that can't be deployed: the agent of that name stays as it was. */
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ServerProcess, startServerProcess } from "../../support/server.ts";
import {
  agentBuilder,
  br,
  bulk,
  type Code,
  i32,
  loop,
  ModuleBuilder,
  VOID,
} from "../../support/wasm-builder.ts";
import { bytes, fixtureModule, manifest, refusal, Wire } from "../../support/wire.ts";
import { expectRefused, Witness } from "./witness.ts";

const MODULE_BYTES_MAX = 32_768;
const PAGES_MAX = 4;

let server: ServerProcess;
let wire: Wire;
let witness: Witness;

beforeAll(async () => {
  server = await startServerProcess({ sets: [`limits.moduleBytesMax=${MODULE_BYTES_MAX}`] });
  wire = new Wire(server.endpoint);
  witness = await Witness.deploy(wire);
});

afterAll(async () => {
  wire.close();
  await server.dispose();
});

function oversized(moduleBytes: number): Uint8Array {
  const builder = agentBuilder();
  builder.custom("padding", Array<number>(moduleBytes).fill(0));
  return builder.build();
}

function withImport(module: string, name: string): Uint8Array {
  const builder = new ModuleBuilder();
  builder.importFunction(module, name, ["i32", "i32"], []);
  return builder.build();
}

function withMemory(...args: Parameters<ModuleBuilder["memory"]>): Uint8Array {
  const builder = new ModuleBuilder();
  builder.memory(...args);
  builder.export("memory", 2, 0);
  return builder.build();
}

function withTwoMemories(): Uint8Array {
  const builder = agentBuilder();
  builder.memory(1);
  return builder.build();
}

function withoutHandle(): Uint8Array {
  const builder = new ModuleBuilder();
  builder.memory(1);
  builder.export("memory", 2, 0);
  builder.function({ params: ["i32"], results: ["i32"], body: i32(0), exported: "caxton_alloc" });
  builder.function({
    params: ["i32", "i32"],
    results: ["i32"],
    body: i32(0),
    exported: "caxton_handel",
  });
  return builder.build();
}

/** Has the host write its messages to the last four bytes and on. */
function withAllocOutside(): Uint8Array {
  const builder = new ModuleBuilder();
  builder.memory(1);
  builder.export("memory", 2, 0);
  builder.function({
    params: ["i32"],
    results: ["i32"],
    body: i32(65_532),
    exported: "caxton_alloc",
  });
  builder.function({
    params: ["i32", "i32"],
    results: ["i32"],
    body: i32(0),
    exported: "caxton_handle",
  });
  return builder.build();
}

function withInvalidBody(): Uint8Array {
  const builder = agentBuilder();
  builder.function({ results: ["i32"], body: [0x42, 0] });
  return builder.build();
}

function starting(body: Code): Uint8Array {
  const builder = agentBuilder();
  builder.start(builder.function({ body }));
  return builder.build();
}

const FILL_A_PAGE = [...i32(0), ...i32(0), ...i32(65_536), ...bulk(11, 0)];

describe("a module that is refused leaves the agent of its name alone", () => {
  test.each<[string, () => Uint8Array, RegExp]>([
    ["not WebAssembly", () => bytes("#!/bin/sh\necho hi\n"), /Not WebAssembly/],
    ["cut off in its header", () => fixtureModule("adder").subarray(0, 6), /truncated/],
    ["cut off in the middle", () => fixtureModule("adder").subarray(0, 7000), /not valid|truncat/],
    ["invalid code", withInvalidBody, /not valid: .*expected i32/],
    ["unknown import", () => withImport("caxton", "sned"), /imports caxton\.sned, which the/],
    ["import from an unknown module", () => withImport("postgres", "query"), /no module postgres/],
    ["shared memory", () => withMemory(1, 2, 3), /threads|shared/],
    ["several memories", withTwoMemories, /more than one memory/],
    ["minimum memory above the cap", () => withMemory(PAGES_MAX + 1), /5 pages.*4|4.*5 pages/],
    ["a place for messages outside memory", withAllocOutside, /caxton_alloc.*65532.*outside/],
    ["missing export", withoutHandle, /does not export caxton_handle/],
    [
      "start function that loops",
      () => starting(loop(VOID, br(0))),
      /initialisation failed.*(fuel|longer than)/,
    ],
    [
      "start function that fills memory for ever",
      () => starting(loop(VOID, FILL_A_PAGE, br(0))),
      /initialisation failed.*(fuel|longer than)/,
    ],
  ])("%s", async (_name, make, why) => {
    const spec = `{limits: {memoryPagesMax: ${PAGES_MAX}, turnTimeoutMs: 500}}`;
    await expectRefused(wire.deploy(manifest("witness", spec), make()), "INVALID_MODULE", why);
    await witness.expectUnchanged();
  });

  test("oversized", async () => {
    const deploying = wire.deploy(manifest("witness"), oversized(MODULE_BYTES_MAX));
    const error = await expectRefused(deploying, "MODULE_TOO_LARGE", /limits\.moduleBytesMax/);
    expect(error.message).toMatch(/has \d+ bytes; limits\.moduleBytesMax is 32768/);
    await witness.expectUnchanged();
  });

  test("oversized beyond what the transport takes in", async () => {
    const error = await refusal(wire.deploy(manifest("witness"), new Uint8Array(2_000_000)));
    expect(status[error.status]).toBe("RESOURCE_EXHAUSTED");
    expect(error.message).toMatch(/larger than max \(20000\d\d vs \d+\)/);
    await witness.expectUnchanged();
  });

  test("the nearest import and export are named", async () => {
    const unknown = wire.deploy(manifest("witness"), withImport("caxton", "sned"));
    const imported = await expectRefused(unknown, "INVALID_MODULE", /sned/);
    expect(imported.detail!.findings[0]!.hint).toContain("Did you mean caxton.send?");
    const missing = wire.deploy(manifest("witness"), withoutHandle());
    const exported = await expectRefused(missing, "INVALID_MODULE", /caxton_handle/);
    expect(exported.detail!.findings[0]!.hint).toContain("Is it the export caxton_handel?");
  });
});

describe("a manifest that is refused leaves the agent of its name alone", () => {
  test.each<[string, string, RegExp, string]>([
    [
      "unknown key, the nearest valid one is named",
      "{limits: {mailboxMessageMax: 10}}",
      /spec\.limits\.mailboxMessageMax: unknown key/,
      'Did you mean "mailboxMessagesMax"?',
    ],
    [
      "impossible limit: more memory than WebAssembly has",
      "{limits: {memoryPagesMax: 70000}}",
      /spec\.limits\.memoryPagesMax: must be at most 16384, found 70000/,
      "",
    ],
    [
      "impossible limit: messages larger than the node takes",
      "{limits: {messageBytesMax: 1000000}}",
      /messageBytesMax: must be at most the node's limits\.messageBytesMax \(262144\)/,
      "",
    ],
    [
      "impossible limit: not a number",
      "{limits: {fuelPerMessage: lots}}",
      /spec\.limits\.fuelPerMessage: .*found "lots"/,
      "",
    ],
  ])("%s", async (_name, spec, why, hint) => {
    const deploying = wire.deploy(manifest("witness", spec), fixtureModule("echo"));
    const error = await expectRefused(deploying, "INVALID_MANIFEST", why);
    expect(error.detail!.findings).toEqual([expect.objectContaining({ hint })]);
    await witness.expectUnchanged();
  });
});
