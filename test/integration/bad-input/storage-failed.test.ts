/** A sync that fails under a running node: nothing is acknowledged after it, and nothing acknowledged is lost. */
import { RecentLog } from "../../../src/base/recent-log.ts";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, expect, test } from "vitest";
import { startKernel } from "../../../src/actors/index.ts";
import { apiServices, ApiMetrics, ReadinessProbe, startGrpc } from "../../../src/api/index.ts";
import { LiveConfig } from "../../../src/base/live-config.ts";
import { Lifecycle } from "../../../src/base/lifecycle.ts";
import type { FileSystem } from "../../../src/storage/embedded/file-system.ts";
import { openEmbeddedStorage } from "../../../src/storage/index.ts";
import { failingFileSystem, systemError } from "../../storage/support.ts";
import { bytes, fixtureModule, manifest, Wire, WireError } from "../../support/wire.ts";
import { expectRefused } from "./witness.ts";

const RECEIVER = "default/adder/kept";

const directory = mkdtempSync(join(tmpdir(), "caxton-failed-"));
const live = new LiveConfig({
  sets: [
    `storage.directory=${directory}`,
    "storage.sizeBytesMax=67108864",
    "workers.count=2",
    "partitions.count=4",
    "api.grpc.port=0",
  ],
});
const config = live.current;

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

interface Node {
  readonly wire: Wire;
  readonly wasClean: boolean;
  stop(): Promise<void>;
}

/** What the server is made of, with a file system of ours below it. */
async function start(fileSystem?: FileSystem): Promise<Node> {
  const log = pino({ enabled: false });
  const lifecycle = new Lifecycle(log);
  const faulty = fileSystem === undefined ? {} : { fileSystem };
  const storage = await lifecycle.start(
    "storage",
    () => openEmbeddedStorage({ ...config.storage, ...faulty }),
    (opened) => opened.close(),
  );
  const kernel = await lifecycle.start(
    "kernel",
    () => startKernel({ storage, config, log }),
    (running) => running.stop(),
  );
  const metrics = new ApiMetrics();
  const readiness = new ReadinessProbe();
  const api = { kernel, config: live, log, recentLog: new RecentLog(), metrics, spans: undefined };
  const { port } = await lifecycle.start(
    "api",
    () => startGrpc(config.api.grpc, api, apiServices(api), readiness),
    (listener) => listener.stop(),
  );
  readiness.serving(kernel);
  const wire = new Wire(`127.0.0.1:${port}`);
  const stop = async (): Promise<void> => {
    wire.close();
    await lifecycle.stop();
    metrics.close();
  };
  return { wire, wasClean: storage.opening.clean, stop };
}

function add(wire: Wire, id: string) {
  const content = bytes("1");
  return wire.send({ receiver: RECEIVER, id, contentType: "text/plain", content });
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
  const server = await start(fileSystem);
  const { wire } = server;
  await wire.deploy(manifest("adder"), fixtureModule("adder"));
  const acked = new Set<string>();
  const send = async (id: string): Promise<string> => {
    try {
      await add(wire, id);
      acked.add(id);
      return "acknowledged";
    } catch (error) {
      if (error instanceof WireError) return error.detail?.code ?? error.message;
      throw error;
    }
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
  const why = /EIO/;
  for (let i = 0; i < 10; i++) await expectRefused(add(wire, `after-${i}`), "STORAGE_FAILED", why);
  expect(acked.size).toBe(ackedBefore);
  const { agents, actors, node } = wire;
  const adder = { namespace: "default", name: "adder", reason: "" };
  const suspending = wire.call(agents.suspendAgent.bind(agents), adder);
  await expectRefused(suspending, "STORAGE_FAILED", why);
  const reading = wire.call(actors.getActor.bind(actors), { address: RECEIVER });
  await expectRefused(reading, "STORAGE_FAILED", why);
  const { status } = await wire.call(node.getStatus.bind(node), {});
  expect(status!.ready).toBe(false);
  expect(status!.notReady.join()).toContain("STORAGE_FAILED");
  expect(failedSyncs).toBe(1);
  await server.stop();

  const again = await start();
  expect(again.wasClean).toBe(false);
  for (const id of acked) expect(await add(again.wire, id)).toMatchObject({ duplicate: true });
  // Repeats of what was not acknowledged count once, whatever the disk made of the first.
  const asked = [...Array(20).keys()].map((i) => `before-${i}`);
  for (let i = 0; i < codes.length; i++) asked.push(`during-${i}`);
  for (const id of asked.filter((one) => !acked.has(one))) await add(again.wire, id);
  expect(await again.wire.askText(RECEIVER, "0")).toBe(`${asked.length} ${asked.length + 1}`);
  await again.stop();
});
