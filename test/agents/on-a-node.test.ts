/** The same agents on a real kernel: storage, workers, limits and roll-back included. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startKernel, type RunningKernel } from "../../src/actors/index.ts";
import { loadConfig } from "../../src/base/config.ts";
import { CaxtonError } from "../../src/base/errors.ts";
import { openEmbeddedStorage, type Storage } from "../../src/storage/index.ts";
import { fixture } from "./modules.ts";

const PAGES_MAX = 32;
const MANIFEST = {
  apiVersion: "caxton/v1",
  kind: "Agent",
  spec: {
    attemptsMax: 1,
    supervision: { restartsMax: 1000 },
    config: { colour: "blue" },
    flags: { on: true },
    limits: {
      memoryPagesMax: PAGES_MAX,
      fuelPerMessage: 5_000_000,
      callDepthMax: 500,
      stateBytesMax: 100_000,
      timersMax: 100,
      asksPendingMax: 10,
    },
  },
};

const AGENTS = ["adder", "asker", "echo", "hostile", "probe", "probe-component", "ticker"];

const directory = mkdtempSync(join(tmpdir(), "caxton-agents-node-"));
let storage: Storage;
let kernel: RunningKernel;

async function start(): Promise<void> {
  const config = loadConfig({
    sets: [`storage.directory=${directory}`, "workers.count=2", "partitions.count=4"],
  });
  storage = await openEmbeddedStorage(config.storage);
  kernel = await startKernel({ storage, config, log: pino({ level: "silent" }) });
}

async function stop(): Promise<void> {
  await kernel.stop();
  await storage.close();
}

beforeAll(async () => {
  await start();
  for (const name of AGENTS) {
    await kernel.agents.deploy({
      manifest: JSON.stringify({ ...MANIFEST, metadata: { name } }),
      source: { kind: "module", bytes: fixture(name) },
      resetMemory: false,
    });
  }
});

afterAll(async () => {
  await stop();
  rmSync(directory, { recursive: true, force: true });
});

async function ask(receiver: string, text: string): Promise<string> {
  const { reply } = await kernel.messages.ask({
    receiver,
    content: Buffer.from(text),
    contentType: "text/plain",
    timeoutMs: 20_000,
  });
  return Buffer.from(reply.content).toString();
}

async function codeOf(receiver: string, text: string): Promise<string> {
  try {
    return `replied ${await ask(receiver, text)}`;
  } catch (error) {
    if (error instanceof CaxtonError) return error.code;
    throw error;
  }
}

describe("the AssemblyScript kit", () => {
  test("echoes and adds", async () => {
    expect(await ask("default/echo/1", "hello")).toBe("hello");
    await ask("default/adder/1", "40");
    expect(await ask("default/adder/1", "2")).toBe("42 2");
    const { value } = await kernel.actors.getState("default/adder/1", "total");
    expect(Buffer.from(value).toString()).toBe("42 2");
  });

  test("asks other actors and stays open", async () => {
    expect(await ask("default/asker/1", "default/echo/1 10000 hello you")).toBe("hello you");
    expect(await ask("default/asker/1", "default/asker/2 10000 default/echo/1 10000 deep")).toBe(
      "deep",
    );
    expect(await ask("default/asker/1", "default/nobody/1 10000 x")).toMatch(/^AGENT_NOT_FOUND: /);
  });

  test.each([
    ["itself", "default/asker/1 2000 x"],
    ["itself over another", "default/asker/2 2000 default/asker/1 2000 x"],
  ])("is told when it asks %s", async (_, text) => {
    expect(await ask("default/asker/1", text)).toMatch(/^REENTRANT_ASK: /);
  });

  test("sets timers and waits for them", async () => {
    await ask("default/ticker/1", "set 1 600000 never");
    expect(await ask("default/ticker/1", "wait 2 5")).toBe("waited");
    await ask("default/ticker/1", "cancel 1");
    expect(await ask("default/ticker/1", "fired")).toBe("2:waited");
  });

  test("reads and writes state, configuration and flags", async () => {
    expect(await ask("default/probe/~C3~BC", "self")).toBe("default/probe/~C3~BC");
    expect(await ask("default/probe/1", "config colour")).toBe("blue");
    expect(await ask("default/probe/1", "flag on")).toBe("true");
    await ask("default/probe/1", "put a 1");
    await ask("default/probe/1", "put b 2");
    await ask("default/probe/1", "delete a");
    expect(await ask("default/probe/1", "get a")).toBe("none");
    expect(await ask("default/probe/1", "list ")).toBe("b");
  });

  test("takes one time and one chance in a turn", async () => {
    const [now, date] = [await ask("default/probe/2", "now"), await ask("default/probe/2", "date")];
    expect(Number(date)).toBeGreaterThanOrEqual(Number(now));
    const [host, library] = (await ask("default/probe/2", "chance")).split(" ").map(Number);
    for (const value of [host!, library!]) {
      expect(value).toBeGreaterThanOrEqual(0);
      expect(value).toBeLessThan(1);
    }
  });

  test("fails with the text of a throw", async () => {
    await expect(ask("default/probe/3", "throw broken")).rejects.toThrow(/broken \(index\.ts:/);
  });
});

describe("the hostile agent", () => {
  test.each([
    ["loop", "FUEL_EXHAUSTED"],
    ["recurse", "CALL_DEPTH_EXCEEDED"],
    ["emit", "EFFECTS_TOO_LARGE"],
    ["send", "EFFECTS_TOO_LARGE"],
    ["state", "STATE_TOO_LARGE"],
    ["timers", "OVERLOADED"],
    ["asks", "OVERLOADED"],
    ["log", "FUEL_EXHAUSTED"],
    ["trap", "AGENT_TRAPPED"],
    ["fail on purpose", "AGENT_FAILED"],
    ["result", "AGENT_FAILED"],
    ["reply-twice", "HOST_CALL_INVALID"],
    ["pointer-send", "HOST_CALL_INVALID"],
    ["pointer-log", "HOST_CALL_INVALID"],
    ["pointer-state", "HOST_CALL_INVALID"],
    ["draft", "HOST_CALL_INVALID"],
    ["address not-an-address", "INVALID_ADDRESS"],
  ])("%s fails with %s and leaves nothing behind", async (verb, code) => {
    const actor = `default/hostile/${verb.split(" ")[0]!}`;
    expect(await ask(actor, "handled")).toBe("1");
    expect(await codeOf(actor, verb)).toBe(code);
    expect(await ask(actor, "handled")).toBe("2");
  });

  test("gets no more memory than it may have", async () => {
    expect(await ask("default/hostile/memory", "memory")).toBe(String(PAGES_MAX));
  });

  test("hurts nobody else", async () => {
    const harm = ["loop", "trap", "emit", "recurse"].map((verb) =>
      codeOf(`default/hostile/other-${verb}`, verb),
    );
    const others = Array.from({ length: 50 }, (_, i) => ask(`default/echo/${i}`, `${i}`));
    expect(await Promise.all(others)).toEqual(Array.from({ length: 50 }, (_, i) => `${i}`));
    expect(await Promise.all(harm)).toEqual([
      "FUEL_EXHAUSTED",
      "AGENT_TRAPPED",
      "EFFECTS_TOO_LARGE",
      "CALL_DEPTH_EXCEEDED",
    ]);
  });
});

describe("a component", () => {
  const actor = "default/probe-component/1";

  test("asks agents of another kind, and waits for timers", async () => {
    expect(await ask(actor, "ask default/echo/1 10000 hello")).toBe("reply hello");
    expect(await ask(actor, "both default/probe/1 default/probe-component/2")).toBe(
      "unknown unknown",
    );
    expect(await ask(actor, "wait 3 5")).toBe("timer 3");
    expect(await ask(actor, "ask default/nobody/1 10000 x")).toMatch(/^failure AGENT_NOT_FOUND /);
  });

  test("fails by an error, without effects", async () => {
    expect(await ask(actor, "count 1")).toBe("1");
    await expect(ask(actor, "error no more")).rejects.toThrow(/no more/);
    expect(await codeOf(actor, "count-fail 5")).toBe("AGENT_FAILED");
    expect(await codeOf(actor, "outside put")).toBe("HOST_CALL_INVALID");
    expect(await ask(actor, "count 1")).toBe("2");
  });

  test("keeps its memory and its state over a restart of the node", async () => {
    await ask(actor, "put key value");
    await stop();
    await start();
    expect(await ask(actor, "count 1")).toBe("3");
    expect(await ask(actor, "get key")).toBe("value");
  });
});
