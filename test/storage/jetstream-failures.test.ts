/** Servers that die, stop answering, lose an answer or lose what they had. */
import { cp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import type { CaxtonError } from "../../src/base/errors.ts";
import { type AppendOutcome, patientStorage, type Storage } from "../../src/storage/index.ts";
import { startNatsServer } from "../support/nats-servers.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import { frameOf } from "./frames.ts";
import {
  connectTo,
  newCluster,
  openJetStream,
  PersistentWriter,
  serverForFile,
} from "./jetstream-support.ts";
import { codeOf, collect } from "./support.ts";

const { server, connection } = await serverForFile();

const namesOf = async (storage: Storage, partition: number): Promise<string[]> => {
  const records = await collect(storage.log.scan(partition, 1));
  expect(records.map(({ sequence }) => sequence)).toEqual(records.map((_, i) => i + 1));
  return records.map(({ frame }) => Buffer.from(frame).toString());
};

describe("an acknowledgement that is lost", () => {
  /** A storage whose server's answers can be lost, and a second one that sees what is there. */
  async function throughProxy(): Promise<{ proxy: TcpProxy; storage: Storage; witness: Storage }> {
    const proxy = await TcpProxy.start(server.port);
    const link = await connectTo(proxy.url);
    onTestFinished(async () => {
      await link.close();
      await proxy.close();
    });
    const cluster = newCluster();
    const storage = await openJetStream(link, { cluster });
    return { proxy, storage, witness: await openJetStream(connection, { cluster }) };
  }

  test("leaves the outcome unknown, and the frame is found when it is sent again", async () => {
    const { proxy, storage, witness } = await throughProxy();
    await storage.log.append(0, 0, Buffer.from("one"), 1);
    proxy.swallowAnswers();
    const lost = storage.log.append(0, 1, Buffer.from("two"), 1);
    await until(async () => (await witness.log.lastSequence(0)) === 2);
    proxy.cut();
    // Not the time it may take to answer: that the connection is gone.
    expect(await lost).toEqual({ kind: "unknown", cause: "the connection was lost" });
    expect(await storage.log.append(0, 1, Buffer.from("two"), 1)).toEqual({
      kind: "refused",
      lastSequence: 2,
    });
    expect(await namesOf(storage, 0)).toEqual(["one", "two"]);
    expect(await storage.log.append(0, 2, Buffer.from("three"), 1)).toEqual({
      kind: "acked",
      sequence: 3,
    });
  });

  test("of an epoch frame leaves it in the log once", async () => {
    const { proxy, storage, witness } = await throughProxy();
    proxy.swallowAnswers();
    const lost = storage.log.append(3, null, Buffer.from("epoch 1"), 1);
    await until(async () => (await witness.log.lastSequence(3)) === 1);
    proxy.cut();
    expect(await lost).toMatchObject({ kind: "unknown" });
    expect(await namesOf(storage, 3)).toEqual(["epoch 1"]);
  });

  test("of a record is no second write", async () => {
    const { proxy, storage, witness } = await throughProxy();
    // What is read before the write arrives, the write's acknowledgement does not.
    proxy.swallowAnswers("no message found");
    const lost = storage.records.put("a", Buffer.from("1"), 0);
    await until(async () => (await witness.records.get("a")) !== undefined);
    proxy.cut();
    expect(await lost).toEqual({ kind: "written", revision: 1 });
    expect((await witness.records.get("a"))?.revision).toBe(1);
  });

  test("of a record that was replaced since leaves the outcome unknown", async () => {
    const { proxy, storage, witness } = await throughProxy();
    proxy.swallowAnswers("no message found");
    const lost = codeOf(storage.records.put("a", Buffer.from("1"), 0));
    await until(async () => (await witness.records.get("a")) !== undefined);
    expect((await witness.records.put("a", Buffer.from("2"), 1)).kind).toBe("written");
    proxy.cut();
    expect(await lost).toBe("STORAGE_UNAVAILABLE");
    expect(Buffer.from((await storage.records.get("a"))!.value).toString()).toBe("2");
  });
});

describe("a server that is killed amid appends", () => {
  test("has every acknowledged frame when it is back, none twice", async () => {
    const mine = await startNatsServer();
    const link = await connectTo(mine.url);
    onTestFinished(async () => {
      await link.close();
      await mine.dispose();
    });
    const cluster = newCluster();
    const storage = await openJetStream(link, { cluster });
    const written = [0, 1, 2, 3].map(() => [] as string[]);
    const writers = written.map((_, partition) => new PersistentWriter(storage, partition));
    let restarting: Promise<void> = Promise.resolve();
    const appending = writers.map(async (writer, partition) => {
      for (let i = 0; i < 64; i++) {
        const name = `frame ${partition} ${i}`;
        expect(await writer.append(Buffer.from(name))).toBe(i + 1);
        written[partition]!.push(name);
        if (partition === 0 && (i === 20 || i === 40)) {
          restarting = restarting.then(() => mine.restart());
        }
      }
    });
    await Promise.all(appending);
    await restarting;
    expect(writers.some(({ unknowns }) => unknowns > 0)).toBe(true);
    await storage.close();
    const next = await openJetStream(link, { cluster });
    for (const [partition, names] of written.entries()) {
      expect(await namesOf(next, partition)).toEqual(names);
    }
  });
});

describe("a server that stops answering", () => {
  test("nothing waits for ever, and all goes on when it answers again", async () => {
    const mine = await startNatsServer();
    const link = await connectTo(mine.url);
    onTestFinished(async () => {
      mine.resume();
      await link.close();
      await mine.dispose();
    });
    const storage = await openJetStream(link);
    const writer = new PersistentWriter(storage, 0);
    await writer.append(Buffer.from("one"));
    const sha256 = await storage.blobs.put(frameOf("blob", 100_000));
    mine.pause();
    const scan = collect(storage.log.scan(1, 1));
    const [append, last, scanned, ranges, record, blob] = await Promise.all([
      storage.log.append(0, 1, Buffer.from("two"), 1),
      codeOf(storage.log.lastSequence(2)),
      codeOf(scan),
      codeOf(storage.log.readRanges(0, [{ sequence: 1, offset: 0, length: 1 }])),
      codeOf(storage.records.get("a")),
      codeOf(storage.blobs.get(sha256)),
    ]);
    expect(append).toMatchObject({ kind: "unknown" });
    const unavailable = "STORAGE_UNAVAILABLE";
    expect([last, scanned, ranges, record, blob]).toEqual(Array(5).fill(unavailable));
    mine.resume();
    expect(await writer.append(Buffer.from("two"))).toBe(2);
    expect(await namesOf(storage, 0)).toEqual(["one", "two"]);
    expect(await storage.records.put("a", Buffer.from("1"), 0)).toEqual({
      kind: "written",
      revision: 1,
    });
    expect(await storage.blobs.has(sha256)).toBe(true);
  });
});

describe("a server that is away for a while", () => {
  test("whoever can wait gets what he asked for when it is back", async () => {
    const mine = await startNatsServer();
    const link = await connectTo(mine.url);
    onTestFinished(async () => {
      await link.close();
      await mine.dispose();
    });
    const storage = patientStorage(await openJetStream(link), () => false);
    const names = Array.from({ length: 20 }, (_, i) => `frame ${i}`);
    for (const [i, name] of names.entries()) await storage.log.append(0, i, Buffer.from(name), 1);
    const content = frameOf("blob", 1_000_000);
    const sha256 = await storage.blobs.put(content);
    const scan = storage.log.scan(0, 1);
    const seen: string[] = [];
    let starting: Promise<void> = Promise.resolve();
    for await (const { sequence, frame } of scan) {
      // The first frames are read alone, the others are still to be asked for.
      if (sequence === 1) {
        await mine.kill();
        starting = delay(100).then(() => mine.start());
      }
      seen.push(Buffer.from(frame).toString());
    }
    expect(seen).toEqual(names);
    await starting;
    await mine.kill();
    const waiting = Promise.all([
      storage.blobs.get(sha256),
      storage.blobs.put(frameOf("other", 10)),
      storage.log.lastSequence(0),
      storage.log.readRanges(0, [{ sequence: 2, offset: 0, length: 5 }]),
    ]);
    await mine.start();
    const [blob, , last, [part]] = await waiting;
    expect(Buffer.compare(blob!, content)).toBe(0);
    expect(last).toBe(20);
    expect(part).toEqual(new Uint8Array(Buffer.from("frame")));
  });

  test("waiting ends when nobody waits any more", async () => {
    const mine = await startNatsServer();
    const link = await connectTo(mine.url);
    onTestFinished(async () => {
      await link.close();
      await mine.dispose();
    });
    let isOver = false;
    const storage = patientStorage(await openJetStream(link), () => isOver);
    await mine.kill();
    const waiting = codeOf(storage.log.lastSequence(0));
    isOver = true;
    await storage.close();
    expect(["NOT_READY", "STORAGE_UNAVAILABLE"]).toContain(await waiting);
    expect(await codeOf(storage.log.append(0, 0, new Uint8Array(1), 1))).toBe("NOT_READY");
  });
});

describe("a server that comes back without what it acknowledged", () => {
  test("is told apart from one that is behind, and nothing more is written", async () => {
    const mine = await startNatsServer({ syncAlways: false });
    const link = await connectTo(mine.url);
    onTestFinished(async () => {
      await link.close();
      await mine.dispose();
    });
    const failed = Promise.withResolvers<CaxtonError>();
    const storage = await openJetStream(link, { behindMsMax: 300, onFailed: failed.resolve });
    const { log } = storage;
    expect(await log.append(0, 0, Buffer.from("one"), 1)).toEqual({ kind: "acked", sequence: 1 });
    await mine.restart("SIGTERM", async () => {
      await cp(join(mine.directory, "data"), join(mine.directory, "older"), { recursive: true });
    });
    expect(await decided(() => log.append(0, 1, Buffer.from("two"), 1))).toEqual({
      kind: "acked",
      sequence: 2,
    });
    await mine.restart("SIGTERM", async () => {
      await rm(join(mine.directory, "data"), { recursive: true });
      await rename(join(mine.directory, "older"), join(mine.directory, "data"));
    });
    const appending = (async (): Promise<string> => {
      for (;;) {
        const code = await codeOf(decided(() => log.append(0, 2, Buffer.from("three"), 1)));
        if (code !== "resolved") return code;
      }
    })();
    expect(await appending).toBe("STORAGE_FAILED");
    expect((await failed.promise).message).toContain("have lost acknowledged frames");
    expect(await codeOf(storage.records.put("a", Buffer.from("1"), 0))).toBe("STORAGE_FAILED");
  });

  test("is told of a partition that nothing is written to", async () => {
    const mine = await startNatsServer({ syncAlways: false });
    const link = await connectTo(mine.url);
    onTestFinished(async () => {
      await link.close();
      await mine.dispose();
    });
    const failed = Promise.withResolvers<CaxtonError>();
    const { log } = await openJetStream(link, { behindMsMax: 300, onFailed: failed.resolve });
    await log.append(0, 0, Buffer.from("one"), 1);
    await mine.restart("SIGTERM", async () => {
      await cp(join(mine.directory, "data"), join(mine.directory, "older"), { recursive: true });
    });
    await decided(() => log.append(0, 1, Buffer.from("two"), 1));
    await mine.restart("SIGKILL", async () => {
      await rm(join(mine.directory, "data"), { recursive: true });
      await rename(join(mine.directory, "older"), join(mine.directory, "data"));
    });
    // Another partition of its stream gets the number of what was lost, and is none the wiser.
    await decided(() => log.append(1, 0, Buffer.from("other"), 1));
    expect((await failed.promise).message).toContain("have lost acknowledged frames");
    expect(await codeOf(log.append(1, 1, Buffer.from("more"), 1))).toBe("STORAGE_FAILED");
  });

  async function decided(append: () => Promise<AppendOutcome>): Promise<AppendOutcome> {
    for (;;) {
      const outcome = await append();
      if (outcome.kind !== "unknown") return outcome;
      await delay(20);
    }
  }
});
