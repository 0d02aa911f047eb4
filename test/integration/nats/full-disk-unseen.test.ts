/** A disk that is full and the node can't see it: that of given servers, or one with a quota. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, expect, onTestFinished, test, vi } from "vitest";
import { openJetStreamStorage } from "../../../src/storage/index.ts";
import { connectNats } from "../../../src/storage/jetstream/connect.ts";
import { findNatsServer } from "../../../src/storage/jetstream/find-nats-server.ts";
import { ManagedNatsServer } from "../../../src/storage/jetstream/managed-server.ts";
import { passwordLogin } from "../../../src/storage/jetstream/nats-login.ts";
import { refusal } from "../../support/wire.ts";
import { ADDER, expectSum, keepAdding } from "./adding.ts";
import { deploy, startNats, startNode } from "./node-process.ts";
import { type SmallDisk, smallDisk } from "./small-disk.ts";
import { listeningLog, removeFolders, temporaryFolder } from "./support.ts";

const SOON = { timeout: 30_000, interval: 50 };
const DISK_MIB = 24;

afterAll(removeFolders);

/** It is said what may be wrong, and all goes on when the server was started again. */
async function fillsUnderGivenServer(disk: SmallDisk, binary: string): Promise<void> {
  vi.stubEnv("CAXTON_NATS_SERVER", disk.programOf(binary));
  onTestFinished(() => void vi.unstubAllEnvs());
  const configuration = `jetstream { store_dir: "${disk.directory}", max_file_store: 1GB, sync_interval: always }`;
  const nats = await startNats({ jetstream: false, configuration });
  const node = await startNode(nats.url);
  await deploy(node, "adder");
  const adding = keepAdding(node.wire);
  disk.fill(0);
  await expect.poll(() => node.readyz(), SOON).toMatch(/^not ready\n- storage: nats away for/);
  const warnings = node.server.log().filter(({ cause }) => cause !== undefined);
  expect(String(warnings[0]?.["cause"])).toMatch(/stores nothing; is its disk full\?/);
  const refused = await refusal(node.wire.askText(ADDER, "0"));
  expect(refused.detail).toMatchObject({ code: "STORAGE_UNAVAILABLE", retryable: true });
  disk.empty();
  await nats.restart("SIGTERM");
  await expect.poll(() => node.readyz(), SOON).toBe("ready\n");
  await expectSum(node.wire, await adding.stop());
}

/** The server is started again until it stores. */
async function fillsUnderOwnServer(disk: SmallDisk, binary: string): Promise<void> {
  const { log, lines } = listeningLog();
  const server = await ManagedNatsServer.start({
    directory: join(disk.directory, "../.."),
    binary: disk.programOf(binary),
    nats: { durability: "durable", port: 0 },
    clientPassword: undefined,
    log,
  });
  onTestFinished(() => server.stop());
  const login = passwordLogin("caxton", server.password);
  const servers = [`127.0.0.1:${server.port}`];
  const link = await connectNats({ servers, login, name: "test", cluster: "default" }, log);
  onTestFinished(() => link.close());
  const storage = await openJetStreamStorage({
    connection: link.connection,
    partitions: 4,
    replicas: 1,
    durability: "durable",
    sizeBytesMax: 64 * 1024 ** 2,
    room: server,
  });
  onTestFinished(() => storage.close());
  const frame = new Uint8Array(64 * 1024).fill(7);
  let acked = 0;
  const append = async (): Promise<boolean> => {
    const outcome = await storage.log.append(0, acked, frame, 1);
    if (outcome.kind === "acked") acked++;
    return outcome.kind === "acked";
  };
  disk.fill(1);
  while (await append());
  const ackedOnFull = acked;
  disk.empty();
  while (!(await append())) await delay(20);
  expect(acked).toBe(ackedOnFull + 1);
  expect(await storage.log.lastSequence(0)).toBe(acked);
  expect(lines()).toContainEqual(
    expect.objectContaining({ why: expect.stringContaining("nothing is stored in CAXTON") }),
  );
}

// Each waits for most of its time, for what has no answer: together they take no longer.
test("given servers are said to store nothing; one of the node's own is started again", async ({
  skip,
}) => {
  const binary = await findNatsServer(process.env);
  const store = join(temporaryFolder(), "nats/jetstream");
  mkdirSync(store, { recursive: true });
  const [given, own] = [await smallDisk(DISK_MIB), await smallDisk(DISK_MIB, store)];
  if (given === undefined || own === undefined) return skip();
  await Promise.all([fillsUnderOwnServer(own, binary), fillsUnderGivenServer(given, binary)]);
}, 45_000);
