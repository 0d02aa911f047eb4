/** Blobs that two nodes store and delete, and such as were never finished. */
import { createHash } from "node:crypto";
import { jetstreamManager } from "@nats-io/jetstream";
import { describe, expect, test } from "vitest";
import type { Storage } from "../../src/storage/index.ts";
import { frameOf } from "./frames.ts";
import { newCluster, openJetStream, serverForFile } from "./jetstream-support.ts";

const { connection } = await serverForFile();

/** Messages of the blob stream. */
async function messages(cluster: string): Promise<number> {
  const manager = await jetstreamManager(connection);
  return (await manager.streams.info(`CAXTON_${cluster}_BLOBS`)).state.messages;
}

describe.each([
  ["small", 1000],
  ["large", 600_000],
])("of two nodes, a %s blob", (size, bytes) => {
  const content = frameOf(size, bytes);

  async function twoNodes(): Promise<{ cluster: string; old: Storage; next: Storage }> {
    const cluster = newCluster();
    const old = await openJetStream(connection, { cluster });
    await old.blobs.put(content);
    return { cluster, old, next: await openJetStream(connection, { cluster }) };
  }

  test("that the new one has stored again outlives its deletion by the old one", async () => {
    const { cluster, old, next } = await twoNodes();
    const sha256 = await next.blobs.put(content);
    await old.blobs.delete(sha256);
    expect(await next.blobs.get(sha256)).toEqual(content);
    expect(await next.blobs.list()).toEqual([sha256]);
    await next.blobs.delete(sha256);
    expect(await next.blobs.has(sha256)).toBe(false);
    expect(await messages(cluster)).toBe(0);
  });

  test("that the new one found can be deleted by either", async () => {
    for (const deletes of ["old", "next"] as const) {
      const { cluster, ...nodes } = await twoNodes();
      const [sha256] = await nodes.next.blobs.list();
      await nodes[deletes].blobs.delete(sha256!);
      expect(await nodes.next.blobs.list()).toEqual([]);
      expect(await messages(cluster)).toBe(0);
    }
  });

  test("that the old one has stored since is for the next start to delete", async () => {
    const cluster = newCluster();
    const old = await openJetStream(connection, { cluster });
    const next = await openJetStream(connection, { cluster });
    const sha256 = await old.blobs.put(content);
    await next.blobs.delete(sha256);
    expect(await next.blobs.get(sha256)).toEqual(content);
    const later = await openJetStream(connection, { cluster });
    await later.blobs.delete(sha256);
    expect(await next.blobs.list()).toEqual([]);
  });
});

describe("chunks of a put that was interrupted", () => {
  const content = frameOf("whole", 600_000);

  /** With two of three chunks of another blob. */
  async function interrupted(): Promise<{ cluster: string; sha256: string }> {
    const cluster = newCluster();
    const storage = await openJetStream(connection, { cluster });
    const sha256 = await storage.blobs.put(content);
    await storage.close();
    const other = createHash("sha256").update("other").digest("hex");
    for (const chunk of [0, 1]) {
      await connection.request(`_caxton.${cluster}.blob.${other}.${chunk}`, frameOf("part", 1000));
    }
    expect(await messages(cluster)).toBe(6);
    return { cluster, sha256 };
  }

  test("go at a start once nobody can be about to finish it, and nothing else", async () => {
    const { cluster, sha256 } = await interrupted();
    const storage = await openJetStream(connection, { cluster, abandonedMs: 0 });
    await expect.poll(() => messages(cluster)).toBe(4);
    expect(await storage.blobs.get(sha256)).toEqual(content);
  });

  test("stay while somebody may, and go later without another start", async () => {
    const { cluster } = await interrupted();
    const storage = await openJetStream(connection, { cluster });
    await storage.close();
    expect(await messages(cluster)).toBe(6);
    await openJetStream(connection, { cluster, abandonedMs: 1000 });
    await expect.poll(() => messages(cluster), { timeout: 10_000 }).toBe(4);
  });
});
