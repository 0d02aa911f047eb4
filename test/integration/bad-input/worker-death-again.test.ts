/** Workers that are replaced while storage does not say what became of their partitions' opening frames. */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Worker } from "node:worker_threads";
import { pino } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type RunningKernel, startKernel } from "../../../src/actors/index.ts";
import type { ToWorker } from "../../../src/actors/worker-protocol.ts";
import { loadConfig } from "../../../src/base/config.ts";
import { CaxtonError } from "../../../src/base/errors.ts";
import {
  FRAME_FLAG_EPOCH,
  FrameWriter,
  readFrameHeader,
} from "../../../src/storage/frame-codec.ts";
import { type Log, openEmbeddedStorage, type Storage } from "../../../src/storage/index.ts";
import { bytes, fixtureModule, manifest } from "../../support/wire.ts";

const PARTITIONS = 4;
const ACTORS = 8;

/** Instead of the engine's answer to an opening frame. */
type Opening = (append: () => ReturnType<Log["append"]>) => ReturnType<Log["append"]>;

let directory: string;
let storage: Storage;
let kernel: RunningKernel;
/** In the order they were started, the kernel's workers first. */
let threads: Worker[];
/** Ended as soon as they are there. */
let doomed: number;
let openings: Opening[];

function onThread(message: unknown): void {
  const { worker } = message as { worker: Worker };
  threads.push(worker);
  if (doomed === 0) return;
  doomed--;
  worker.once("online", () => void worker.terminate());
}

/** Ends what opens partitions as the script says. */
function script({ log }: Storage): void {
  const engine = log.append.bind(log);
  log.append = (partition, expectedSequence, ...rest) => {
    const append = () => engine(partition, expectedSequence, ...rest);
    const opening = expectedSequence === null ? openings.shift() : undefined;
    return opening === undefined ? append() : opening(append);
  };
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "caxton-worker-again-"));
  [threads, doomed, openings] = [[], 0, []];
  const config = loadConfig({
    sets: [
      `storage.directory=${directory}`,
      "storage.sizeBytesMax=67108864",
      "workers.count=2",
      `partitions.count=${PARTITIONS}`,
    ],
  });
  storage = await openEmbeddedStorage(config.storage);
  script(storage);
  subscribe("worker_threads", onThread);
  kernel = await startKernel({ storage, config, log: pino({ enabled: false }) });
  const source = { kind: "module" as const, bytes: fixtureModule("adder") };
  await kernel.agents.deploy({ manifest: manifest("adder"), source, resetMemory: false });
  for (let actor = 0; actor < ACTORS; actor++) expect(await add(actor)).toBe("1 1");
});

afterEach(async () => {
  unsubscribe("worker_threads", onThread);
  await kernel.stop();
  await storage.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Adds one, again until a worker takes it; what the actor says then. */
async function add(actor: number): Promise<string> {
  const receiver = `default/adder/${actor}`;
  const content = bytes("1");
  for (;;) {
    try {
      const asked = { receiver, id: crypto.randomUUID(), contentType: "text/plain", content };
      const { reply } = await kernel.messages.ask(asked);
      return Buffer.from(reply.content).toString();
    } catch (error) {
      if (!(error instanceof CaxtonError) || error.code !== "PARTITION_UNAVAILABLE") throw error;
      const { notReady } = await kernel.node.status();
      expect(notReady.filter(({ component }) => component !== "partitions")).toEqual([]);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

const unknown = () => Promise.resolve({ kind: "unknown", cause: "no answer" } as const);

test.each<[string, Opening]>([
  ["is in the log", (append) => append().then(unknown)],
  ["is not in the log", unknown],
])(
  "an opening frame that nobody knows of and that %s: the log is read again",
  async (_, opening) => {
    openings = [opening, opening, opening];
    await threads[0]!.terminate();
    for (let actor = 0; actor < ACTORS; actor++) expect(await add(actor)).toBe("2 2");
    expect(openings).toEqual([]);
    expect((await kernel.node.status()).ready).toBe(true);
  },
);

test("a worker that dies while it recovers is replaced again, and both at once are", async () => {
  const before = threads.length;
  doomed = 3;
  await Promise.all(threads.slice(0, 2).map((thread) => thread.terminate()));
  for (let actor = 0; actor < ACTORS; actor++) expect(await add(actor)).toBe("2 2");
  expect(doomed).toBe(0);
  expect(threads.length - before).toBe(3 + 2);
});

test("a worker that dies while its partitions are asked what they have taken is replaced, too", async () => {
  const asked = threads[1]!;
  const post = asked.postMessage.bind(asked);
  let questions = 0;
  asked.postMessage = (message: ToWorker, transfer: ArrayBuffer[]) => {
    if (message.kind !== "query" || message.query.kind !== "cursors") post(message, transfer);
    else if (questions++ === 0) void asked.terminate();
  };
  await threads[0]!.terminate();
  for (let actor = 0; actor < ACTORS; actor++) expect(await add(actor)).toBe("2 2");
  expect(questions).toBe(1);
});

test("a partition that another node has opened meanwhile is left to it", async () => {
  const partition = 0;
  const last = await storage.log.lastSequence(partition);
  const frames: Uint8Array[] = [];
  for await (const { frame } of storage.log.scan(partition, last)) frames.push(frame);
  const { epoch, incarnation, payloadCrc, timeMs } = readFrameHeader(Buffer.from(frames[0]!));
  const writer = new FrameWriter(4096);
  const fixed = { flags: FRAME_FLAG_EPOCH, partition, incarnation, timeMs, checkpointFrameNo: 0 };
  const header = { ...fixed, epoch: epoch + 1, frameNo: last + 1, previousCrc: payloadCrc };
  await storage.log.append(partition, null, writer.seal(header).frame, epoch + 1);
  await threads[0]!.terminate();
  const reason = expect.stringContaining("Another node has had partition 0");
  await expect
    .poll(() => kernel.node.status(), { timeout: 20_000 })
    .toMatchObject({
      ready: false,
      notReady: expect.arrayContaining([expect.objectContaining({ reason })]),
    });
});
