/** A sync that fails under a running kernel: nothing is acknowledged after it, and nothing acknowledged is lost. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, expect, test } from "vitest";
import { type RunningKernel, startKernel } from "../../../src/actors/index.ts";
import { loadConfig } from "../../../src/base/config.ts";
import { CaxtonError } from "../../../src/base/errors.ts";
import type { FileSystem } from "../../../src/storage/embedded/file-system.ts";
import { openEmbeddedStorage, type Storage } from "../../../src/storage/index.ts";
import { failingFileSystem, systemError } from "../../storage/support.ts";
import { bytes, fixtureModule, manifest } from "../../support/wire.ts";

const RECEIVER = "default/adder/kept";

const directory = mkdtempSync(join(tmpdir(), "caxton-failed-"));
const config = loadConfig({
  sets: [
    `storage.directory=${directory}`,
    "storage.sizeBytesMax=67108864",
    "workers.count=2",
    "partitions.count=4",
  ],
});

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

interface Node {
  readonly storage: Storage;
  readonly kernel: RunningKernel;
}

async function start(fileSystem?: FileSystem): Promise<Node> {
  const faulty = fileSystem === undefined ? {} : { fileSystem };
  const storage = await openEmbeddedStorage({ ...config.storage, ...faulty });
  return { storage, kernel: await startKernel({ storage, config, log: pino({ enabled: false }) }) };
}

async function stop({ kernel, storage }: Node): Promise<void> {
  await kernel.stop();
  await storage.close();
}

function add(kernel: RunningKernel, id: string) {
  const content = bytes("1");
  return kernel.messages.send({ receiver: RECEIVER, id, contentType: "text/plain", content });
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "acknowledged";
  } catch (error) {
    if (error instanceof CaxtonError) return error.code;
    throw error;
  }
}

test("acks stop with STORAGE_FAILED for good; after a new start everything acknowledged is there", async () => {
  let syncsLeft = Infinity;
  let failedSyncs = 0;
  const fileSystem = failingFileSystem((call) => {
    if (call.name !== "datasync" || !call.path.endsWith(".segment")) return undefined;
    if (syncsLeft-- > 0) return undefined;
    failedSyncs += 1;
    // Once: a second sync would claim that all is well.
    return failedSyncs === 1 ? systemError("EIO") : undefined;
  });
  const node = await start(fileSystem);
  const { agents, node: operations } = node.kernel;
  const source = { kind: "module" as const, bytes: fixtureModule("adder") };
  await agents.deploy({ manifest: manifest("adder"), source, resetMemory: false });
  const acked = new Set<string>();
  const send = async (id: string): Promise<string> => {
    const code = await codeOf(add(node.kernel, id));
    if (code === "acknowledged") acked.add(id);
    return code;
  };
  for (let i = 0; i < 20; i++) expect(await send(`before-${i}`)).toBe("acknowledged");

  syncsLeft = 3;
  const codes: string[] = [];
  while (!codes.includes("STORAGE_FAILED")) {
    const round = Array.from({ length: 10 }, (_, i) => send(`during-${codes.length + i}`));
    codes.push(...(await Promise.all(round)));
  }
  expect(new Set(codes)).toEqual(new Set(["acknowledged", "STORAGE_FAILED"]));
  // The rest of the disk works again: the answer stays the same, for every kind of call.
  const ackedBefore = acked.size;
  for (let i = 0; i < 10; i++) expect(await send(`after-${i}`)).toBe("STORAGE_FAILED");
  expect(acked.size).toBe(ackedBefore);
  expect(await codeOf(agents.suspend("default", "adder", ""))).toBe("STORAGE_FAILED");
  expect(await codeOf(node.kernel.actors.get(RECEIVER))).toBe("STORAGE_FAILED");
  const status = await operations.status();
  expect(status.ready).toBe(false);
  expect(status.notReady.join()).toContain("STORAGE_FAILED");
  expect(failedSyncs).toBe(1);
  await stop(node);

  const again = await start();
  expect(again.storage.opening.clean).toBe(false);
  for (const id of acked) {
    expect(await add(again.kernel, id)).toMatchObject({ duplicate: true });
  }
  // Repeats of what was not acknowledged count once, whatever the disk made of the first.
  const asked = [...Array(20).keys()].map((i) => `before-${i}`);
  for (let i = 0; i < codes.length; i++) asked.push(`during-${i}`);
  for (const id of asked.filter((one) => !acked.has(one))) await add(again.kernel, id);
  const { reply } = await again.kernel.messages.ask({
    receiver: RECEIVER,
    contentType: "text/plain",
    content: bytes("0"),
  });
  expect(Buffer.from(reply.content).toString()).toBe(`${asked.length} ${asked.length + 1}`);
  await stop(again);
});
