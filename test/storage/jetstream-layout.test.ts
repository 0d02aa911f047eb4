/** What opening makes, takes over and refuses. */
import { jetstreamManager } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import { startNatsServer } from "../support/nats-servers.ts";
import { connectTo, newCluster, openJetStream, serverForFile } from "./jetstream-support.ts";
import { codeOf, messageOf } from "./support.ts";

const { connection } = await serverForFile({ storeBytesMax: 256 * 1024 * 1024 });

const frame = new Uint8Array(10);

test("few streams: one for sixteen partitions, none that ages, deletes or answers from followers", async () => {
  const cluster = newCluster();
  const storage = await openJetStream(connection, { cluster, partitions: 40 });
  expect(storage.opening).toEqual({ clean: true, created: true, tornBytesCut: 0 });
  const manager = await jetstreamManager(connection);
  const logs = await Promise.all(
    [0, 1, 2].map((i) => manager.streams.info(`CAXTON_${cluster}_LOG_${i}`)),
  );
  expect(logs.map(({ config }) => config.subjects.length)).toEqual([16, 16, 8]);
  for (const { config } of logs) {
    expect(config).toMatchObject({
      storage: "file",
      discard: "new",
      max_age: 0,
      deny_delete: true,
      allow_direct: false,
      num_replicas: 1,
    });
    expect(config.max_bytes).toBe(Math.floor((1024 * 1024) / 3));
    expect(config.metadata).toMatchObject({ "caxton.format": "1", "caxton.partitions": "40" });
  }
  expect(await storage.log.append(39, 0, frame, 1)).toEqual({ kind: "acked", sequence: 1 });
  expect(await codeOf(storage.log.append(40, 0, frame, 1))).toBe("INTERNAL");
});

test("another number of partitions is refused, with what was found and what mends it", async () => {
  const cluster = newCluster();
  await (await openJetStream(connection, { cluster, partitions: 8 })).close();
  const opening = openJetStream(connection, { cluster, partitions: 16 });
  expect(await codeOf(opening)).toBe("STORAGE_LAYOUT");
  const text = await messageOf(opening);
  expect(text).toContain("made for 8 partitions, the configuration says 16");
  expect(text).toContain("Set partitions.count to 8");
  await openJetStream(connection, { cluster, partitions: 8 });
});

test("another size is taken over", async () => {
  const cluster = newCluster();
  await (await openJetStream(connection, { cluster })).close();
  const storage = await openJetStream(connection, { cluster, sizeBytesMax: 2 * 1024 * 1024 });
  expect(storage.opening.created).toBe(false);
  expect(storage.log.usage().bytesMax).toBe(2 * 1024 * 1024);
  const manager = await jetstreamManager(connection);
  const { config } = await manager.streams.info(`CAXTON_${cluster}_LOG_0`);
  expect(config.max_bytes).toBe(2 * 1024 * 1024);
});

test("three replicas on one server are refused", async () => {
  const opening = openJetStream(connection, { replicas: 3 });
  expect(await codeOf(opening)).toBe("STORAGE_LAYOUT");
  expect(await messageOf(opening)).toContain("three need three servers");
});

test("another application's stream on our subjects is named and left alone", async () => {
  const cluster = newCluster();
  const manager = await jetstreamManager(connection);
  const name = `ORDERS-${cluster}`;
  await manager.streams.add({ name, subjects: [`_caxton.${cluster}.record.*`] });
  const opening = openJetStream(connection, { cluster });
  expect(await codeOf(opening)).toBe("STORAGE_LAYOUT");
  expect(await messageOf(opening)).toContain(`Stream ${name} already takes subjects of`);
  expect((await manager.streams.info(name)).state.messages).toBe(0);
});

test("a stream of our name that is not ours is refused", async () => {
  const cluster = newCluster();
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: `CAXTON_${cluster}_LOG_0`, subjects: [`mine.${cluster}`] });
  const opening = openJetStream(connection, { cluster });
  expect(await codeOf(opening)).toBe("STORAGE_LAYOUT");
  expect(await messageOf(opening)).toContain("was not made by Caxton");
});

test("a stream that somebody edited is refused", async () => {
  const cluster = newCluster();
  await (await openJetStream(connection, { cluster })).close();
  const manager = await jetstreamManager(connection);
  await manager.streams.update(`CAXTON_${cluster}_LOG_0`, { allow_direct: true });
  expect(await messageOf(openJetStream(connection, { cluster }))).toContain(
    "has allow_direct true, expected was false",
  );
});

test("a stream that is missing is not made anew: what it held was lost", async () => {
  const cluster = newCluster();
  const storage = await openJetStream(connection, { cluster });
  await storage.close();
  const manager = await jetstreamManager(connection);
  await manager.streams.delete(`CAXTON_${cluster}_LOG_0`);
  const opening = openJetStream(connection, { cluster });
  expect(await codeOf(opening)).toBe("STORAGE_LAYOUT");
  expect(await messageOf(opening)).toContain(`CAXTON_${cluster}_LOG_0 is missing`);
});

test("a making that was interrupted is finished", async () => {
  const cluster = newCluster();
  await (await openJetStream(connection, { cluster })).close();
  const manager = await jetstreamManager(connection);
  // The record stream is the last that is made.
  await manager.streams.delete(`CAXTON_${cluster}_RECORDS`);
  const storage = await openJetStream(connection, { cluster });
  expect(storage.opening).toEqual({ clean: true, created: true, tornBytesCut: 0 });
});

test("an end without close is told as unclean", async () => {
  const cluster = newCluster();
  await openJetStream(connection, { cluster });
  const next = await openJetStream(connection, { cluster });
  expect(next.opening).toEqual({ clean: false, created: false, tornBytesCut: 0 });
});

test("a server without the room says so", async () => {
  const opening = openJetStream(connection, { sizeBytesMax: 1024 ** 4 });
  expect(await codeOf(opening)).toBe("STORAGE_FULL");
  expect(await messageOf(opening)).toContain("Lower storage.sizeBytesMax");
});

test("a server that takes too small messages is refused", async () => {
  const small = await startNatsServer({ maxPayloadBytes: 512 * 1024 });
  const link = await connectTo(small.url);
  try {
    const opening = openJetStream(link);
    expect(await codeOf(opening)).toBe("INVALID_CONFIG");
    expect(await messageOf(opening)).toContain("max_payload of the NATS servers is 524288 bytes");
  } finally {
    await link.close();
    await small.dispose();
  }
});

test("a frame may be as large as the servers let it", async () => {
  const { log } = await openJetStream(connection, { sizeBytesMax: 8 * 1024 * 1024 });
  expect(log.frameBytesMax).toBe(1024 * 1024 - 16 * 1024);
  const largest = new Uint8Array(log.frameBytesMax).fill(7);
  expect(await log.append(0, 0, largest, 1)).toEqual({ kind: "acked", sequence: 1 });
  const tooLarge = new Uint8Array(log.frameBytesMax + 1);
  expect(await codeOf(log.append(0, 1, tooLarge, 1))).toBe("INTERNAL");
  const [part] = await log.readRanges(0, [{ sequence: 1, offset: 1_000_000, length: 2 }]);
  expect(part).toEqual(new Uint8Array([7, 7]));
});

test("the profile is shown, and that nobody has verified it", async () => {
  const { durability } = await openJetStream(connection, { durability: "fast" });
  expect(durability).toEqual({ profile: "fast", isVerified: false });
  const managed = await openJetStream(connection, { isDurabilityVerified: true });
  expect(managed.durability).toEqual({ profile: "durable", isVerified: true });
});
