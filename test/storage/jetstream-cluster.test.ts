/** Three servers: the leader of a stream moves, or dies, amid appends. */
import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import type { Storage } from "../../src/storage/index.ts";
import {
  clusterForFile,
  newCluster,
  openJetStream,
  PersistentWriter,
} from "./jetstream-support.ts";
import { collect } from "./support.ts";

const { servers, connection } = await clusterForFile();

/** Undefined while there is none. */
async function leaderOf(stream: string): Promise<string | undefined> {
  const subject = `$JS.API.STREAM.INFO.${stream}`;
  const answer = await connection.request(subject, "", { timeout: 500 }).catch(() => undefined);
  const info = answer?.json<{ cluster?: { leader?: string } }>();
  return info?.cluster?.leader;
}

async function otherLeader(stream: string, than: string | undefined): Promise<void> {
  await expect
    .poll(() => leaderOf(stream), { timeout: 20_000, interval: 50 })
    .toSatisfy((leader) => leader !== undefined && leader !== than);
}

/** Four writers until the disturbance is over and some more frames are written; then all is compared. */
async function writeThrough(disturb: (stream: string) => Promise<unknown>): Promise<void> {
  const cluster = newCluster();
  const options = { cluster, replicas: 3, sizeBytesMax: 64 * 1024 * 1024 } as const;
  const storage = await openJetStream(connection, options);
  let isOver = false;
  const write = async (partition: number): Promise<string[]> => {
    const writer = new PersistentWriter(storage, partition);
    const names: string[] = [];
    for (let left = 10; left > 0; left -= isOver ? 1 : 0) {
      const name = `frame ${partition} ${names.length}`;
      names.push(name);
      expect(await writer.append(Buffer.from(name))).toBe(names.length);
      // So that there are not too many to compare.
      await delay(2);
    }
    return names;
  };
  const writing = Promise.all([0, 1, 2, 3].map(write));
  await disturb(`CAXTON_${cluster}_LOG_0`);
  isOver = true;
  const written = await writing;
  for (const reader of [storage, await openJetStream(connection, options)]) {
    for (const [partition, names] of written.entries()) {
      expect(await namesOf(reader, partition)).toEqual(names);
    }
  }
}

async function namesOf(storage: Storage, partition: number): Promise<string[]> {
  const records = await collect(storage.log.scan(partition, 1));
  expect(records.map(({ sequence }) => sequence)).toEqual(records.map((_, i) => i + 1));
  return records.map(({ frame }) => Buffer.from(frame).toString());
}

test("the leader moves again and again: no frame is lost, none is there twice", async () => {
  await writeThrough(async (stream) => {
    for (let moves = 0; moves < 3; moves++) {
      const before = await leaderOf(stream);
      // Its answer may be lost on the way.
      const subject = `$JS.API.STREAM.LEADER.STEPDOWN.${stream}`;
      await connection.request(subject, "", { timeout: 500 }).catch(() => undefined);
      await otherLeader(stream, before);
    }
  });
});

test("the leader is killed: no frame is lost, none is there twice", async () => {
  await writeThrough(async (stream) => {
    const leader = await leaderOf(stream);
    const server = servers.servers.find(({ name }) => name === leader);
    await server!.kill();
    await otherLeader(stream, leader);
    await server!.start();
  });
});
