/** What lies in a TypeScript agent's memory comes back: byte for byte, and after a kill in the middle of an await. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { compileManifest } from "../../src/actors/manifest.ts";
import type { Actor } from "../../src/actors/partition/actor.ts";
import { PendingMessage } from "../../src/actors/partition/message.ts";
import { deployPipeline } from "../../src/actors/wasm/deploy/pipeline.ts";
import { DOORS } from "../../src/actors/wasm/doors.ts";
import { EffectRing } from "../../src/actors/wasm/effects.ts";
import { FLAG_REPLY, FLAG_WANTS_REPLY, encodeEnvelope } from "../../src/actors/wasm/envelope.ts";
import { WasmInstance } from "../../src/actors/wasm/instance.ts";
import { bundleTypeScript, readQuickJs } from "../../src/actors/wasm/languages/typescript.ts";
import type { LoadedModule } from "../../src/actors/wasm/loaded-module.ts";
import { decodeDelta } from "../../src/actors/wasm/memory-delta.ts";
import { TurnContext } from "../../src/actors/wasm/turn-context.ts";
import { loadConfig } from "../../src/base/config.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { LAUNCHER, startServerProcess, type ServerProcess } from "../support/server.ts";
import { typeScriptFixture } from "../support/typescript-agent.ts";
import { Wire, bytes, manifest } from "../support/wire.ts";

const { limits } = loadConfig({});
const MANIFEST = compileManifest(manifest("script"), limits, 10_000);
const ADDRESS = "default/script/one";
const FUEL = BigInt(MANIFEST.limits.fuelPerMessage);

async function load(): Promise<LoadedModule> {
  const bundled = await bundleTypeScript(typeScriptFixture(), limits.bundleBytesMax);
  if (bundled.kind === "failed") throw new Error(JSON.stringify(bundled.findings));
  const { program: text, sourceMap, exports } = bundled;
  const program = { door: "quickjs", text, sourceMap, exports } as const;
  const outcome = await deployPipeline(readQuickJs(), MANIFEST.limits, limits, program);
  if (!outcome.passed) throw outcome.refusal;
  const { module, door, template } = outcome.code;
  const base = createHash("sha256").update(module.bytes).digest("hex");
  return {
    module: new WebAssembly.Module(Uint8Array.from(module.bytes)),
    door,
    globals: module.info.mutableGlobals.map(({ exportName }) => exportName),
    replayOnly: module.info.replayOnly,
    template: decodeDelta(template!, base),
    sourceMap,
  };
}

/** Runs turns of one actor whose state and asks nobody keeps. */
class Bench {
  private readonly loaded: LoadedModule;
  private readonly turn = new TurnContext(new EffectRing(1 << 20), [], 8);
  private readonly imports: WebAssembly.Imports;
  instance: WasmInstance;

  constructor(loaded: LoadedModule) {
    this.loaded = loaded;
    this.imports = DOORS.quickjs.imports(this.turn);
    this.instance = this.fresh();
    this.instance.advance(loaded.template!);
  }

  private fresh(): WasmInstance {
    const instance = new WasmInstance(this.loaded, this.imports);
    this.turn.beginInitialisation(instance);
    return instance;
  }

  /** Goes on in a new instance. */
  move(): void {
    const image = this.instance.image();
    this.instance = this.fresh();
    this.instance.restore(image);
  }

  /** What the turn did: how it ended, and its effects. */
  run(number: number, text: string, flags: number, correlation = 0): string {
    const { turn, instance } = this;
    const envelope = encodeEnvelope({
      flags,
      id: `m${number}`,
      sender: "default/other/one",
      receiver: ADDRESS,
      contentType: "text/plain",
      content: Buffer.from(text),
      correlation: BigInt(correlation),
    });
    const message = new PendingMessage(number, flags, envelope, 0, envelope.length, -1, number);
    turn.ring.cursor = 0;
    turn.memory = instance;
    turn.idPrefix = Buffer.alloc(16, 1);
    turn.sendNo = number * 10;
    turn.replayState = new Map();
    turn.nowMs = 1_000_000 + number;
    turn.random.reseed(number);
    const actor = { addressBytes: Buffer.from(ADDRESS), timers: new Map(), state: new Map() };
    const environment = { manifest: MANIFEST } as typeof turn.environment;
    turn.begin(actor as unknown as Actor, message, undefined, environment);
    instance.begin(FUEL);
    const result = instance.deliver(envelope, 0, envelope.length);
    return `${result} ${turn.ring.bytes.toString("latin1", 0, turn.ring.cursor)}`;
  }
}

describe("memory", () => {
  let loaded: LoadedModule;
  beforeAll(async () => {
    loaded = await load();
  });

  test("is the same, and does the same, however often it moves into new instances", () => {
    const random = new SeededRandom(7);
    const still = new Bench(loaded);
    const moved = new Bench(loaded);
    const verbs = ["count", "note x", "seen", "shout abc", "json y", "globals", "state", "early"];
    const asked: number[] = [];
    for (let n = 1; n <= 200; n++) {
      if (random.nextFloat() < 0.1) moved.move();
      const verb = verbs[Math.floor(random.nextFloat() * verbs.length)]!;
      const kind = random.nextFloat();
      const answers = kind > 0.8 ? asked.shift() : undefined;
      const turn: [string, number, number?] =
        answers !== undefined
          ? ["answer", FLAG_REPLY, answers]
          : kind > 0.5
            ? [verb, FLAG_WANTS_REPLY]
            : kind > 0.3
              ? ["ask default/other/two hello", FLAG_WANTS_REPLY]
              : ["sleep 5", 0];
      if (turn[0].startsWith("ask")) asked.push(n * 10);
      expect(moved.run(n, ...turn)).toBe(still.run(n, ...turn));
    }
    expect(asked.length).toBeGreaterThan(0);
    expect(moved.instance.image()).toEqual(still.instance.image());
  });

  test("goes over to another version through its hooks", () => {
    const before = new Bench(loaded);
    before.run(1, "count", 0);
    before.run(2, "count", 0);
    const state = before.instance.door.exportState();
    expect(state?.toString("latin1")).toBe('\x01{"count":2}');
    const after = new Bench(loaded);
    after.run(1, "note x", 0);
    expect(after.instance.door.importState(state!)).toBe(true);
    expect(after.run(2, "count", FLAG_WANTS_REPLY)).toMatch(/3\0*$/);
  });
});

describe("a server that is killed", () => {
  const folder = mkdtempSync(join(tmpdir(), "caxton-await-"));
  let running: { server: ServerProcess; wire: Wire };

  async function start(): Promise<void> {
    const server = await startServerProcess({ directory: join(folder, "data") });
    running = { server, wire: new Wire(server.endpoint) };
  }

  async function stop(): Promise<void> {
    running.wire.close();
    await running.server.kill("SIGKILL");
  }

  beforeAll(async () => {
    for (const [path, text] of [
      ...typeScriptFixture(),
      ["agent.yaml", manifest("script")],
    ] as const) {
      mkdirSync(dirname(join(folder, "agent", path)), { recursive: true });
      writeFileSync(join(folder, "agent", path), text);
    }
    await start();
    const args = ["agent", "deploy", join(folder, "agent"), "--endpoint", running.server.endpoint];
    const { stdout, stderr } = spawnSync(LAUNCHER, args, { encoding: "utf8" });
    expect(stdout + stderr).toMatch(/default\/script is deployed/);
  });

  afterEach(stop);
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  test("goes on in the middle of an await and of a sleep", async () => {
    const message = {
      id: "kept",
      receiver: "default/script/asker",
      contentType: "text/plain",
      content: bytes("ask default/script/sleeper sleep 1500"),
    };
    const lost = running.wire.ask(message).catch(() => undefined);
    const { state } = running.wire;
    const asking = () =>
      running.wire
        .call(state.getState.bind(state), { address: "default/script/asker", key: "asking" })
        .then(
          ({ entry }) => Buffer.from(entry!.value).toString(),
          () => "not yet",
        );
    await expect.poll(asking, { timeout: 20_000 }).toBe("sleep 1500");
    await stop();
    await lost;
    await start();
    const { reply, duplicate } = await running.wire.ask(message);
    expect([Buffer.from(reply!.content).toString(), duplicate]).toEqual(["slept after 1", true]);
    expect(JSON.parse(await running.wire.askText("default/script/asker", "seen"))).toEqual([
      "asking sleep 1500",
      "got slept",
    ]);
  });
});
