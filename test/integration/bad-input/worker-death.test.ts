/** A worker thread that dies under load: its partitions come back, and everything counts exactly once. */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Worker } from "node:worker_threads";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type RunningKernel, startKernel } from "../../../src/actors/index.ts";
import { loadConfig } from "../../../src/base/config.ts";
import { CaxtonError } from "../../../src/base/errors.ts";
import { openEmbeddedStorage, type Storage } from "../../../src/storage/index.ts";
import { bytes, fixtureModule, manifest } from "../../support/wire.ts";

const ACTORS = 12;
const ROUNDS = 30;
const DEATHS_AFTER_ROUNDS = [5, 15];

const directory = mkdtempSync(join(tmpdir(), "caxton-worker-death-"));
/** Threads in the order they were started. */
const threads: Worker[] = [];
let storage: Storage;
let kernel: RunningKernel;

/** Node tells of every thread that is made. */
function onThread(message: unknown): void {
  threads.push((message as { worker: Worker }).worker);
}

beforeAll(async () => {
  const config = loadConfig({
    sets: [
      `storage.directory=${directory}`,
      "storage.sizeBytesMax=67108864",
      "workers.count=2",
      "partitions.count=4",
    ],
  });
  storage = await openEmbeddedStorage(config.storage);
  subscribe("worker_threads", onThread);
  kernel = await startKernel({ storage, config, log: pino({ enabled: false }) });
  const source = { kind: "module" as const, bytes: fixtureModule("adder") };
  await kernel.agents.deploy({ manifest: manifest("adder"), source, resetMemory: false });
});

afterAll(async () => {
  unsubscribe("worker_threads", onThread);
  await kernel.stop();
  await storage.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Adds one, with the same id until it is acknowledged; how often that had to be repeated. */
async function addOne(actor: number, round: number): Promise<number> {
  for (let repeats = 0; ; repeats++) {
    try {
      await kernel.messages.send({
        receiver: `default/adder/${actor}`,
        id: `${actor}-${round}`,
        contentType: "text/plain",
        content: bytes("1"),
      });
      return repeats;
    } catch (error) {
      if (!(error instanceof CaxtonError)) throw error;
      expect(error.code).toBe("PARTITION_UNAVAILABLE");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

test("what it had accepted is kept, repeats count once, the other worker goes on", async () => {
  const workers = threads.slice(0, 2);
  let repeats = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const sending = Array.from({ length: ACTORS }, (_, actor) => addOne(actor, round));
    const victim = workers[DEATHS_AFTER_ROUNDS.indexOf(round)];
    if (victim !== undefined) await victim.terminate();
    repeats += (await Promise.all(sending)).reduce((sum, count) => sum + count, 0);
  }
  expect(repeats).toBeGreaterThan(0);
  for (let actor = 0; actor < ACTORS; actor++) {
    const { reply } = await kernel.messages.ask({
      receiver: `default/adder/${actor}`,
      contentType: "text/plain",
      content: bytes("0"),
    });
    expect(Buffer.from(reply.content).toString()).toBe(`${ROUNDS} ${ROUNDS + 1}`);
  }
  const root = await kernel.node.supervisorTree({ actorsMax: 0 });
  expect(root.children.map(({ restarts }) => restarts)).toEqual([1, 1]);
  expect((await kernel.node.status()).ready).toBe(true);
});
