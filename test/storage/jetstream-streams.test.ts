/** Streams that are full, trimmed, or written to by somebody else. */
import { describe, expect, test } from "vitest";
import type { Storage } from "../../src/storage/index.ts";
import { frameOf } from "./frames.ts";
import { newCluster, openJetStream, serverForFile } from "./jetstream-support.ts";
import { codeOf, collect, fillLog } from "./support.ts";

const { connection } = await serverForFile();

describe("messages that somebody else wrote", () => {
  const content = frameOf("blob", 600_000);

  async function withBlob(): Promise<{ storage: Storage; sha256: string; root: string }> {
    const cluster = newCluster();
    const storage = await openJetStream(connection, { cluster });
    const sha256 = await storage.blobs.put(content);
    return { storage, sha256, root: `_caxton.${cluster}` };
  }

  test("in place of a part of a blob: the blob is damaged", async () => {
    const { storage, sha256, root } = await withBlob();
    await connection.request(`${root}.blob.${sha256}.1`, content.subarray(0, 256 * 1024));
    expect(await codeOf(storage.blobs.get(sha256))).toBe("STORAGE_CORRUPT");
    await connection.request(`${root}.blob.${sha256}.1`, "short");
    expect(await codeOf(storage.blobs.get(sha256))).toBe("STORAGE_CORRUPT");
    expect(await storage.blobs.readRange(sha256, 300_000, 10)).toBeUndefined();
    expect(await storage.blobs.readRange(sha256, 10, 10)).toEqual(
      new Uint8Array(content.subarray(10, 20)),
    );
  });

  test("in a log, without an epoch: the log is damaged", async () => {
    const { storage, root } = await withBlob();
    await storage.log.append(2, 0, Buffer.from("one"), 1);
    await connection.request(`${root}.log.2`, "stray");
    expect(await codeOf(storage.log.lastSequence(2))).toBe("STORAGE_CORRUPT");
    expect(await storage.log.lastSequence(3)).toBe(0);
  });
});

describe("streams that are full", () => {
  const LIMIT = 512 * 1024;

  test("nothing is written, and there is room again after a trim", async () => {
    const cluster = newCluster();
    const storage = await openJetStream(connection, { cluster, sizeBytesMax: LIMIT });
    const last = await fillLog(storage, 0, 20_000);
    expect(last).toBeGreaterThan(20);
    expect(storage.log.usage().bytes).toBeLessThanOrEqual(LIMIT);
    expect(await storage.log.lastSequence(0)).toBe(last);
    await storage.log.trim(0, last - 1);
    expect(storage.log.usage().bytes).toBeLessThan(LIMIT / 4);
    expect((await collect(storage.log.scan(0, 1)))[0]?.sequence).toBe(last - 1);
    expect(await storage.log.append(0, last, frameOf("on", 20_000), 1)).toEqual({
      kind: "acked",
      sequence: last + 1,
    });
    await storage.close();
    const next = await openJetStream(connection, { cluster, sizeBytesMax: LIMIT });
    const kept = await collect(next.log.scan(0, 1));
    expect(kept.map(({ sequence }) => sequence)).toEqual([last - 1, last, last + 1]);
  });

  test("a partition that rests holds the stream back, is named, and lets go when it is trimmed", async () => {
    const storage = await openJetStream(connection, { sizeBytesMax: LIMIT });
    const { log } = storage;
    expect(log.usage().heldBackBy).toEqual([]);
    await log.append(7, 0, frameOf("rests", 100), 1);
    const last = await fillLog(storage, 0, 20_000);
    await log.trim(0, last);
    expect((await collect(log.scan(0, 1)))[0]?.sequence).toBe(1);
    const [held, ...others] = log.usage().heldBackBy;
    expect(others).toEqual([]);
    expect(held).toEqual({ partition: 7, sequence: 1, bytes: 100 + last * 20_000 });
    // What the kernel does then: a checkpoint at the end of the log. The room for it must be there.
    expect(await codeOf(log.append(7, 1, frameOf("checkpoint", 100), 1))).toBe("resolved");
    await log.trim(7, 2);
    expect((await collect(log.scan(0, 1)))[0]?.sequence).toBe(last);
    expect((await collect(log.scan(7, 1))).map(({ sequence }) => sequence)).toEqual([2]);
    expect(log.usage().heldBackBy).toEqual([]);
  });

  test("what another node trimmed is passed over", async () => {
    const cluster = newCluster();
    const old = await openJetStream(connection, { cluster, sizeBytesMax: LIMIT });
    const last = await fillLog(old, 0, 20_000);
    const next = await openJetStream(connection, { cluster, sizeBytesMax: LIMIT });
    await next.log.trim(0, last - 3);
    const seen = (await collect(old.log.scan(0, 1))).map(({ sequence }) => sequence);
    expect(seen).toEqual([last - 3, last - 2, last - 1, last]);
    const gone = [{ sequence: 1, offset: 0, length: 1 }];
    expect(await codeOf(old.log.readRanges(0, gone))).toBe("INTERNAL");
  });
});
