/** Where reads go: to the leader of the stream, never to a follower, which may lack the newest or have what was deleted. */
import type { NatsConnection } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { connectTo, newCluster, openJetStream, serverForFile } from "./jetstream-support.ts";

const { server, connection } = await serverForFile();

const frame = new Uint8Array(10);

/** Calls of JetStream's API, until `stop`. */
async function watchCalls(watching: NatsConnection): Promise<{ stop(): Promise<Set<string>> }> {
  const calls = new Set<string>();
  const subscription = watching.subscribe("$JS.API.>", {
    callback: (_error, { subject }) => {
      calls.add(subject.replace("$JS.API.", ""));
    },
  });
  await watching.flush();
  return {
    stop: async () => {
      // Everything was answered, so it came by; what is on the way to this client comes before the answer to its ping.
      await watching.flush();
      subscription.unsubscribe();
      return calls;
    },
  };
}

test("everything that is read is asked of the leader", async () => {
  const cluster = newCluster();
  const watching = await connectTo(server.url);
  const calls = await watchCalls(watching);
  const old = await openJetStream(connection, { cluster });
  await old.log.append(1, null, frame, 1);
  const storage = await openJetStream(connection, { cluster });
  await storage.log.append(1, null, frame, 2);
  // It is decided by reading.
  expect(await old.log.append(1, 1, frame, 1)).toEqual({ kind: "refused", lastSequence: 2 });
  for await (const record of storage.log.scan(1, 1)) expect(record.frame).toEqual(frame);
  await storage.log.readRanges(1, [{ sequence: 1, offset: 0, length: 1 }]);
  const sha256 = await storage.blobs.put(frame);
  expect(await storage.blobs.get(sha256)).toEqual(frame);
  await storage.blobs.readRange(sha256, 1, 2);
  await storage.blobs.delete(sha256);
  await storage.records.put("key", frame, 0);
  expect(await storage.records.list("k")).toHaveLength(1);
  await storage.log.trim(1, 2);
  await storage.close();
  const read = [...(await calls.stop())].filter((call) => call.includes("GET"));
  await watching.close();
  const streams = ["LOG_0", "BLOBS", "RECORDS"].map((name) => `CAXTON_${cluster}_${name}`);
  expect(read.sort()).toEqual(streams.map((stream) => `STREAM.MSG.GET.${stream}`).sort());
});

test("no follower answers for a stream", async () => {
  const cluster = newCluster();
  const storage = await openJetStream(connection, { cluster });
  await storage.log.append(1, null, frame, 1);
  for (const name of ["LOG_0", "BLOBS", "RECORDS"]) {
    const direct = `$JS.API.DIRECT.GET.CAXTON_${cluster}_${name}`;
    const asked = connection.request(direct, JSON.stringify({ seq: 1 }), { timeout: 10_000 });
    await expect(asked).rejects.toThrow("no responders");
  }
});
