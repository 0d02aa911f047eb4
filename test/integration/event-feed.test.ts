/** Events out of the log: none is passed over, and none is trimmed away before it was delivered. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type EmittedEvent, type RunningKernel, startKernel } from "../../src/actors/index.ts";
import { NO_WATCHER } from "../../src/actors/kernel-watcher.ts";
import { loadConfig } from "../../src/base/config.ts";
import { CaxtonError } from "../../src/base/errors.ts";
import { openEmbeddedStorage, type Storage } from "../../src/storage/index.ts";

import { bytes, fixtureModule, manifest } from "../support/wire.ts";
import { until } from "../support/until.ts";

let directory: string;
let storage: Storage;
let kernel: RunningKernel;
let checkpoints = 0;
/** What the log was trimmed below. */
let trims: number[] = [];

async function start(
  checkpointMs = 100,
  awaitedFollower?: string,
  sizeBytesMax = 67_108_864,
): Promise<void> {
  const config = loadConfig({
    sets: [
      `storage.directory=${directory}`,
      `storage.sizeBytesMax=${sizeBytesMax}`,
      "workers.count=1",
      "partitions.count=1",
      "retention.logMs=0",
      `snapshots.intervalMs=${checkpointMs}`,
      "snapshots.turnsMax=100",
    ],
  });
  storage = await openEmbeddedStorage(config.storage);
  const trim = storage.log.trim.bind(storage.log);
  storage.log.trim = (partition, below) => {
    trims.push(below);
    return trim(partition, below);
  };
  const checkpointed = (): void => {
    checkpoints++;
  };
  const watcher = { ...NO_WATCHER, checkpointed };
  kernel = await startKernel({
    storage,
    config,
    log: pino({ enabled: false }),
    watcher,
    awaitedFollower,
  });
}

async function deploy(): Promise<void> {
  const source = { kind: "module" as const, bytes: fixtureModule("probe") };
  await kernel.agents.deploy({ manifest: manifest("probe"), source, resetMemory: false });
}

async function stop(): Promise<void> {
  await kernel.stop();
  await storage.close();
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "caxton-events-"));
  checkpoints = 0;
  trims = [];
  await start();
  await deploy();
});

afterEach(async () => {
  await stop();
  rmSync(directory, { recursive: true, force: true });
});

async function emit(content: string): Promise<number> {
  const { frame } = await kernel.messages.send({
    receiver: "default/probe/x",
    contentType: "text/plain",
    content: bytes(`emit said ${content}`),
  });
  return frame;
}

function textOf({ content }: EmittedEvent): string {
  return Buffer.from(content).toString();
}

test("while a follower is behind, the log keeps what it has not got", async () => {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  const got: string[] = [];
  const end = kernel.events.follow("test", {
    deliver: async (event) => {
      await opened;
      got.push(textOf(event));
    },
  });
  const first = await emit("0");
  let sent = 1;
  for (; checkpoints < 8; sent++) await emit(String(sent));
  expect(Math.max(0, ...trims)).toBeLessThanOrEqual(first + 1);
  open();
  await until(() => got.length === sent);
  for (; Math.max(...trims) <= first + 1; sent++) await emit(String(sent));
  await until(() => got.length === sent);
  expect(got).toEqual(Array.from({ length: sent }, (_, n) => String(n)));
  await end();
});

test("a follower that fails gets the events again", async () => {
  const got: string[] = [];
  let failures = 0;
  const end = kernel.events.follow("test", {
    deliver: (event) => {
      if (failures++ < 2) return Promise.reject(new Error("not now"));
      got.push(textOf(event));
      return Promise.resolve();
    },
  });
  for (const text of ["a", "b", "c"]) await emit(text);
  await until(() => got.length >= 3);
  expect(got).toEqual(["a", "b", "c"]);
  await end();
});

test.each([
  ["STORAGE_UNAVAILABLE", ["late", "after"]],
  ["STORAGE_CORRUPT", ["after"]],
] as const)(
  "a message that can't be read, %s, holds up no event for ever",
  async (code, wanted) => {
    // A checkpoint would move the waiting message into a newer frame.
    await stop();
    await start(60_000);
    const readRanges = storage.log.readRanges.bind(storage.log);
    let failures = 0;
    storage.log.readRanges = (partition, ranges) => {
      const fails = code === "STORAGE_CORRUPT" || failures++ === 0;
      return fails ? Promise.reject(new CaxtonError(code)) : readRanges(partition, ranges);
    };
    const got: string[] = [];
    const end = kernel.events.follow("test", {
      deliver: (event) => {
        got.push(textOf(event));
        return Promise.resolve();
      },
    });
    const wait = bytes("wait 1 300");
    await kernel.messages.send({
      receiver: "default/probe/x",
      contentType: "text/plain",
      content: wait,
    });
    // Durable before the handler ends, handled after it.
    await emit("late");
    const receiver = "default/probe/x";
    await kernel.messages.ask({ receiver, contentType: "text/plain", content: bytes("self") });
    await emit("after");
    await until(() => got.includes("after"));
    expect(got).toEqual(wanted);
    await end();
  },
);

test("a follower goes on where it stopped, by its name", async () => {
  const follow = (name: string, got: EmittedEvent[]) =>
    kernel.events.follow(name, {
      deliver: (event) => {
        got.push(event);
        return Promise.resolve();
      },
    });
  const early: EmittedEvent[] = [];
  const end = follow("one", early);
  await emit("a");
  await until(() => early.length === 1);
  await end();
  await emit("b");
  await stop();
  await start();
  const later: EmittedEvent[] = [];
  const endLater = follow("one", later);
  await until(() => later.length === 1);
  await endLater();
  expect(later.map(textOf)).toEqual(["b"]);
  const all: EmittedEvent[] = [];
  const endAll = follow("two", all);
  await until(() => all.length === 2);
  await endAll();
  expect(all.map(({ id }) => id)).toEqual([early[0]!.id, later[0]!.id]);
  expect(all.map(({ address, topic }) => `${address} ${topic}`)).toEqual(
    Array.from({ length: 2 }, () => "default/probe/x said"),
  );
});

/** The texts that "one" got, over all the times that it follows. */
function followerOne(): { readonly got: string[]; readonly begin: () => () => Promise<void> } {
  const got: string[] = [];
  const begin = () =>
    kernel.events.follow("one", {
      deliver: (event) => {
        got.push(textOf(event));
        return Promise.resolve();
      },
    });
  return { got, begin };
}

test("the log keeps what an awaited follower has not got: over a start, and over checkpoints before it follows", async () => {
  await stop();
  await start(100, "one");
  const { got, begin } = followerOne();
  const end = begin();
  await emit("a");
  await until(() => got.length === 1);
  await end();
  const sent = ["a"];
  const emitUntil = async (count: number): Promise<void> => {
    for (const before = checkpoints; checkpoints < before + count;) {
      sent.push(`${sent.length}`);
      await emit(sent.at(-1)!);
    }
  };
  await emitUntil(2);
  await stop();
  await start(100, "one");
  await emitUntil(2);
  const endLater = begin();
  await expect.poll(() => got, { timeout: 10_000 }).toEqual(sent);
  await endLater();
});

test("a start keeps the messages from which events came that nobody has got yet", async () => {
  await stop();
  await start(60_000, "one");
  const { got, begin } = followerOne();
  const end = begin();
  const receiver = "default/probe/x";
  const text = { receiver, contentType: "text/plain" };
  await emit("a");
  await until(() => got.length === 1);
  await kernel.messages.send({ ...text, content: bytes("wait 1 1000") });
  // Durable before the handler ends, and passed by the follower; handled after it.
  await emit("late");
  await end();
  expect(got).toEqual(["a"]);
  await kernel.messages.ask({ ...text, content: bytes("self") });
  while (checkpoints === 0) await kernel.messages.ask({ ...text, content: bytes("self") });
  await stop();
  trims = [];
  await start(60_000, "one");
  expect(Math.max(...trims)).toBeGreaterThan(1);
  const endLater = begin();
  await expect.poll(() => got, { timeout: 10_000 }).toEqual(["a", "late"]);
  await endLater();
});

test("events that can't leave fill the log, which is said; when they can, all goes on", async () => {
  await stop();
  rmSync(directory, { recursive: true });
  await start(100, "one", 16 * 1024 * 1024);
  await deploy();
  let isOpen = false;
  const got = new Set<string>();
  const end = kernel.events.follow("one", {
    deliver: (event) => {
      if (!isOpen) return Promise.reject(new Error("nobody takes events"));
      got.add(event.id);
      return Promise.resolve();
    },
  });
  const isFull = async () => (await kernel.node.status()).storage.full;
  const sending: Promise<unknown>[] = [];
  while (!(await isFull())) {
    const sent = emit("x".repeat(100_000));
    sending.push(sent);
    await Promise.race([sent, until(isFull)]);
  }
  const { notReady } = await kernel.node.status();
  expect(notReady.map(({ reason }) => reason).join()).toMatch(
    /STORAGE_FULL.*keep the log: nobody takes events/,
  );
  isOpen = true;
  await Promise.all(sending);
  await expect.poll(() => got.size, { timeout: 10_000 }).toBe(sending.length);
  await end();
});
