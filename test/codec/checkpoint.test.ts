/** A checkpoint with everything in it, and an image: their bytes are a format. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { hashAddressText } from "../../src/actors/address.ts";
import { compileManifest } from "../../src/actors/manifest.ts";
import { Handler } from "../../src/actors/partition/actor.ts";
import { BinaryWriter } from "../../src/base/binary.ts";
import { decodeActorImage, writeActorImage } from "../../src/actors/partition/actor-image.ts";
import { AgentShare } from "../../src/actors/partition/agent-share.ts";
import { readCheckpoint } from "../../src/actors/partition/checkpoint-reader.ts";
import { writeCheckpoint } from "../../src/actors/partition/checkpoint-writer.ts";
import { PendingMessage } from "../../src/actors/partition/message.ts";
import { Outbox } from "../../src/actors/partition/outbox.ts";
import { PartitionState } from "../../src/actors/partition/partition-state.ts";
import { logPosition } from "../../src/actors/partition/turn-index.ts";
import { encodeEnvelope } from "../../src/actors/wasm/envelope.ts";
import { loadConfig } from "../../src/base/config.ts";

const golden = (name: string): Buffer => readFileSync(join(import.meta.dirname, name));

const { limits } = loadConfig({});
const LOG = { lastFrameNo: 40, lastCrc: 0xfedcba98, epoch: 3 };
const STORED_S = 1_700_000_000;
const IDENTITY = { id: 5, partitions: 16, incarnation: 0x89abcdef };

const environment = (id: number) => ({
  id,
  agent: "default/agent",
  version: `v${String(id)}`,
  moduleSha256: "",
  templateSha256: undefined,
  manifest: compileManifest(
    "{apiVersion: caxton/v1, kind: Agent, metadata: {name: agent}}",
    limits,
  ),
  replayOnly: false,
});

function message(seq: number, rootSeq = 0): PendingMessage {
  const bytes = encodeEnvelope({
    flags: 3,
    id: `m-${String(seq)}`,
    sender: "client",
    receiver: "default/agent/k",
    content: Buffer.from("größe"),
  });
  const made = new PendingMessage(seq, 3, bytes, 0, bytes.length, logPosition(33, 80), rootSeq);
  made.attempts = 2;
  made.intents = 1;
  return made;
}

function stateWithEverything(): PartitionState {
  const state = new PartitionState(IDENTITY, limits);
  Object.assign(state, { lastNowMs: 1_700_000_000_000.5, lastSeq: 77, nextSendNo: 2 ** 33 });
  Object.assign(state, { turns: 9, turnsFailed: 4, logFloor: 12 });
  state.cursors.set(2, 2 ** 34);
  state.stream.begin(0x12345678, 2 ** 35);
  state.stream.wait(2 ** 34, STORED_S - 1);
  state.stream.done(2 ** 34 + 7, STORED_S);
  state.outboxes.set(7, Outbox.restored(10, [{ position: logPosition(38, 100), length: 64 }]));
  const share = new AgentShare("default/agent", environment(2));
  Object.assign(share, { drainUntilMs: 1_700_000_030_000, suspended: "zu groß" });
  Object.assign(share, { messagesHandled: 8, messagesFailed: 1 });
  state.agents.set(share.name, share);
  const pack = state.images.known("0123456789abcdef".repeat(4), 5000);
  const address = "default/agent/k";
  const actor = state.actors.create(address, hashAddressText(address), share);
  actor.environment = environment(1);
  actor.phase = { kind: "backoff", retryAtMs: 1_700_000_000_100 };
  Object.assign(actor, { turnsTotal: 6, restartsTotal: 3, restartTimesMs: [1, 2.5] });
  actor.image = { ref: { pack, offset: 20, length: 300 }, newestTurn: -1 };
  state.putState(actor, "key", Buffer.from("value"));
  actor.baseState = new Map([["old", Buffer.from("base")]]);
  actor.turns.add(logPosition(39, 200), logPosition(36, 90), 55);
  const root = { seq: 70, flags: 3, envelope: Buffer.from("root") };
  actor.handlers.set(70, Handler.restored(root, true));
  state.restore(actor, actor.inbox, message(75));
  state.restore(actor, actor.answers, message(76, 70));
  const payload = Buffer.from("tick");
  state.setTimer({ id: 2n ** 63n, actor, rootSeq: 70, dueMs: 1_700_000_001_000, payload });
  state.addAsk(2 ** 32 + 1, actor, 70, 1_700_000_030_000);
  const held = state.actors.create("default/agent/h", hashAddressText("default/agent/h"), share);
  held.phase = { kind: "held", code: "REPLAY_DIVERGED", reason: "anders" };
  state.clients.accept("pending", 1_700_000_000_000, 39, true);
  state.clients.accept("replied", 1_700_000_000_001, 39, true);
  state.clients.complete("replied", { kind: "reply", envelope: Buffer.from("reply") });
  state.clients.accept("failed", 1_700_000_000_002, 40, true);
  state.clients.complete("failed", { kind: "failure", code: "AGENT_FAILED", reason: "größer" });
  const envelope = Buffer.from("dead");
  state.deadLetters.add({
    ...{ seq: 60, envelope, logPosition: logPosition(20, 8), attempts: 3 },
    ...{ atMs: 1_700_000_000_003, code: "AGENT_TRAPPED", reason: "unreachable" },
  });
  state.deadLetters.evicted = 2;
  state.restoreUndelivered(message(77), "MAILBOX_FULL");
  return state;
}

describe("a checkpoint", () => {
  const written = writeCheckpoint(stateWithEverything(), LOG);

  test("is the committed bytes", () => {
    expect(written.content.toString("hex")).toBe(golden("checkpoint-v3.bin").toString("hex"));
  });

  test("knows how far back the log is needed: a turn's message, not one that waits", () => {
    expect(written.logFloor).toBe(36);
  });

  test("gives, once read, the same bytes again", () => {
    const state = new PartitionState(IDENTITY, limits);
    expect(readCheckpoint(state, golden("checkpoint-v3.bin"), environment)).toEqual(LOG);
    expect(state.pending).toBe(2);
    const again = writeCheckpoint(state, LOG).content;
    expect(again.toString("hex")).toBe(golden("checkpoint-v3.bin").toString("hex"));
  });

  test("of version 1 is read as one that knows of no stream", () => {
    const state = new PartitionState(IDENTITY, limits);
    expect(readCheckpoint(state, golden("checkpoint-v1.bin"), environment)).toEqual(LOG);
    expect(state.stream).toMatchObject({ incarnation: 0, upTo: 0, floor: 0 });
    state.stream.begin(0x12345678, 2 ** 35);
    state.stream.wait(2 ** 34, STORED_S - 1);
    state.stream.done(2 ** 34 + 7, STORED_S);
    const again = writeCheckpoint(state, LOG).content;
    expect(again.toString("hex")).toBe(golden("checkpoint-v3.bin").toString("hex"));
  });

  test("of version 2 is read as one that does not know when its stream stored what it met", () => {
    const state = new PartitionState(IDENTITY, limits);
    expect(readCheckpoint(state, golden("checkpoint-v2.bin"), environment)).toEqual(LOG);
    expect(state.stream).toMatchObject({ upTo: 2 ** 34 + 7, upToS: 0 });
    state.stream.upToS = STORED_S;
    const again = writeCheckpoint(state, LOG).content;
    expect(again.toString("hex")).toBe(golden("checkpoint-v3.bin").toString("hex"));
  });

  test("of another kind or a newer version is refused", () => {
    const refuse = (change: (bytes: Buffer) => void): (() => void) => {
      const bytes = Buffer.from(golden("checkpoint-v3.bin"));
      change(bytes);
      return () => readCheckpoint(new PartitionState(IDENTITY, limits), bytes, environment);
    };
    const corrupt = expect.objectContaining({ code: "STORAGE_CORRUPT" }) as Error;
    const newer = expect.objectContaining({ code: "STORAGE_FORMAT_NEWER" }) as Error;
    expect(refuse((bytes) => bytes.writeUInt8(0))).toThrow(corrupt);
    expect(refuse((bytes) => bytes.writeUInt32LE(4, 4))).toThrow(newer);
  });
});

describe("an image", () => {
  const actor = [...stateWithEverything().actors].find(({ handlers }) => handlers.size > 0)!;
  const writer = new BinaryWriter();
  writeActorImage(writer, actor, Buffer.from("memory"));
  const image = writer.finish();

  test("is the committed bytes", () => {
    expect(image.toString("hex")).toBe(golden("image-v1.bin").toString("hex"));
  });

  test("is read back whole", () => {
    const base = decodeActorImage(golden("image-v1.bin"))!;
    expect(base).toMatchObject({ environment: 1, state: actor.state });
    expect(base.memory.toString()).toBe("memory");
    const { root, replied } = base.handlers.get(70)!;
    expect({ root, replied }).toEqual({
      root: { seq: 70, flags: 3, envelope: Buffer.from("root") },
      replied: true,
    });
  });

  test("is refused with any byte changed or cut off", () => {
    for (let at = 0; at < image.length; at++) {
      const damaged = Buffer.from(image);
      damaged[at]! ^= 1 << (at % 8);
      expect(decodeActorImage(damaged), `byte ${String(at)}`).toBeUndefined();
      expect(decodeActorImage(image.subarray(0, at)), `length ${String(at)}`).toBeUndefined();
    }
  });
});
