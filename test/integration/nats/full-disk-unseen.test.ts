/** A disk that is full and the node can't see it: that of given servers, or one with a quota. */
import { setTimeout as delay } from "node:timers/promises";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, onTestFinished, test, vi } from "vitest";
import { openJetStreamStorage } from "../../../src/storage/index.ts";
import { connectNats } from "../../../src/storage/jetstream/connect.ts";
import { findNatsServer } from "../../../src/storage/jetstream/find-nats-server.ts";
import { ManagedNatsServer } from "../../../src/storage/jetstream/managed-server.ts";
import { passwordLogin } from "../../../src/storage/jetstream/nats-login.ts";
import { refusal } from "../../support/wire.ts";
import { ADDER, expectSum, keepAdding } from "./adding.ts";
import { deploy, startNats, startNode } from "./node-process.ts";
import { smallDisk } from "./small-disk.ts";
import { listeningLog, removeFolders, temporaryFolder } from "./support.ts";

const SOON = { timeout: 30_000, interval: 50 };

afterAll(removeFolders);

test("given servers: it is said what may be wrong, and all goes on when one was started again", async () => {
  const disk = await smallDisk(24);
  if (disk === undefined) return;
  vi.stubEnv("CAXTON_NATS_SERVER", disk.programOf(await findNatsServer(process.env)));
  onTestFinished(() => void vi.unstubAllEnvs());
  const configuration = `jetstream { store_dir: "${disk.directory}", max_file_store: 1GB, sync_interval: always }`;
  const nats = await startNats({ jetstream: false, configuration });
  const node = await startNode(nats.url);
  await deploy(node, "adder");
  const adding = keepAdding(node.wire);
  disk.fill(0);
  await expect.poll(() => node.readyz(), SOON).toMatch(/^not ready\n- storage: nats away for/);
  const cause = (): string =>
    String(
      node.server.log().find(({ msg }) => String(msg).startsWith("storage does not"))?.["cause"],
    );
  expect(cause()).toMatch(/from CAXTON_default_LOG.*stores nothing; is its disk full\?/);
  const refused = async () => (await refusal(node.wire.askText(ADDER, "0"))).detail;
  expect(await refused()).toMatchObject({ code: "STORAGE_UNAVAILABLE", retryable: true });
  disk.empty();
  await nats.restart("SIGTERM");
  await expect.poll(() => node.readyz(), SOON).toBe("ready\n");
  await expectSum(node.wire, await adding.stop());
});

test("a nats-server of the node's own that stores nothing is started again until it does", async () => {
  const directory = temporaryFolder();
  mkdirSync(join(directory, "nats/jetstream"), { recursive: true });
  const disk = await smallDisk(24, join(directory, "nats/jetstream"));
  if (disk === undefined) return;
  const { log, lines } = listeningLog();
  const server = await ManagedNatsServer.start({
    directory,
    binary: disk.programOf(await findNatsServer(process.env)),
    nats: { durability: "durable", port: 0 },
    clientPassword: undefined,
    log,
  });
  onTestFinished(() => server.stop());
  const link = await connectNats(
    {
      servers: [`127.0.0.1:${server.port}`],
      login: passwordLogin("caxton", server.password),
      name: "test",
      cluster: "default",
    },
    log,
  );
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
  disk.fill(1);
  let acked = 0;
  const append = async (): Promise<boolean> => {
    const outcome = await storage.log.append(0, acked, frame, 1);
    if (outcome.kind === "acked") acked++;
    return outcome.kind === "acked";
  };
  while (await append());
  const full = acked;
  disk.empty();
  while (!(await append())) await delay(20);
  expect(acked).toBe(full + 1);
  expect(await storage.log.lastSequence(0)).toBe(acked);
  expect(lines()).toContainEqual(
    expect.objectContaining({ why: expect.stringContaining("nothing is stored in CAXTON") }),
  );
}, 45_000);
