/** A disk that is full and the node can't see it: that of given servers, or one with a quota. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, expect, onTestFinished, test, vi } from "vitest";
import { openJetStreamStorage, type Storage } from "../../../src/storage/index.ts";
import { connectNats, type NatsTarget } from "../../../src/storage/jetstream/connect.ts";
import { findNatsServer } from "../../../src/storage/jetstream/find-nats-server.ts";
import { ManagedNatsServer } from "../../../src/storage/jetstream/managed-server.ts";
import { passwordLogin } from "../../../src/storage/jetstream/nats-login.ts";
import type { Room } from "../../../src/storage/jetstream/room.ts";
import { startNats } from "./node-process.ts";
import { smallDisk } from "./small-disk.ts";
import { listeningLog, removeFolders, temporaryFolder } from "./support.ts";

const DISK_MIB = 24;
const ANSWER_WAIT_MS = 500;
const FRAME = new Uint8Array(64 * 1024).fill(7);

afterAll(removeFolders);

async function open(target: Pick<NatsTarget, "servers" | "login">, room?: Room): Promise<Storage> {
  const { log } = listeningLog();
  const link = await connectNats({ ...target, name: "test", cluster: "default" }, log);
  onTestFinished(() => link.close());
  const storage = await openJetStreamStorage({
    connection: link.connection,
    partitions: 4,
    replicas: 1,
    durability: "durable",
    sizeBytesMax: 64 * 1024 ** 2,
    answerWaitMs: ANSWER_WAIT_MS,
    ...(room !== undefined && { room }),
  });
  onTestFinished(() => storage.close());
  return storage;
}

/** Appends frames. `last` is the number of those that were acknowledged. */
function writerOf({ log }: Storage) {
  const writer = {
    last: 0,
    /** Resolves with why it is not known to be written; undefined: it is. */
    append: async (): Promise<string | undefined> => {
      const outcome = await log.append(0, writer.last, FRAME, 1);
      if (outcome.kind === "acked") writer.last++;
      return outcome.kind === "unknown" ? outcome.cause : undefined;
    },
    untilUnknown: async (): Promise<string> => {
      for (;;) {
        const cause = await writer.append();
        if (cause !== undefined) return cause;
      }
    },
    untilAcked: async (): Promise<void> => {
      while ((await writer.append()) !== undefined) await delay(20);
    },
  };
  return writer;
}

test("given servers: it is said what may be wrong, and all goes on when one was started again", async ({
  skip,
}) => {
  const disk = await smallDisk(DISK_MIB);
  if (disk === undefined) return skip();
  vi.stubEnv("CAXTON_NATS_SERVER", disk.programOf(await findNatsServer(process.env)));
  onTestFinished(() => void vi.unstubAllEnvs());
  const configuration = `jetstream { store_dir: "${disk.directory}", max_file_store: 1GB, sync_interval: always }`;
  const nats = await startNats({ jetstream: false, configuration });
  const anonymous = { authenticator: undefined, tls: undefined, who: "nobody" };
  const storage = await open({ servers: [nats.url], login: anonymous });
  const writer = writerOf(storage);
  disk.fill(1);
  expect(await writer.untilUnknown()).toMatch(
    /its leader is there but stores nothing; is its disk/,
  );
  const acked = writer.last;
  disk.empty();
  // Room alone does not help.
  expect(await writer.append()).toMatch(/stores nothing/);
  await nats.restart("SIGTERM");
  await writer.untilAcked();
  expect(writer.last).toBe(acked + 1);
  expect(await storage.log.lastSequence(0)).toBe(acked + 1);
});

test("a nats-server of the node's own that stores nothing is started again until it does", async ({
  skip,
}) => {
  const directory = temporaryFolder();
  const store = join(directory, "nats/jetstream");
  mkdirSync(store, { recursive: true });
  const disk = await smallDisk(DISK_MIB, store);
  if (disk === undefined) return skip();
  const { log, lines } = listeningLog();
  const server = await ManagedNatsServer.start({
    directory,
    binary: disk.programOf(await findNatsServer(process.env)),
    nats: { durability: "durable", port: 0 },
    clientPassword: undefined,
    log,
  });
  onTestFinished(() => server.stop());
  const login = passwordLogin("caxton", server.password);
  const storage = await open({ servers: [`127.0.0.1:${server.port}`], login }, server);
  const writer = writerOf(storage);
  disk.fill(1);
  await writer.untilUnknown();
  const acked = writer.last;
  disk.empty();
  await writer.untilAcked();
  expect(writer.last).toBe(acked + 1);
  expect(await storage.log.lastSequence(0)).toBe(acked + 1);
  expect(lines()).toContainEqual(
    expect.objectContaining({ why: expect.stringContaining("nothing is stored in CAXTON") }),
  );
}, 30_000);
