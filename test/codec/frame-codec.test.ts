/**
 * The frame codec against a committed frame that holds every kind of entry and of effect. A change of these
 * bytes is a new version of the format: docs/storage-format.md describes them.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { describe, expect, test } from "vitest";
import {
  EFFECT_ASK,
  EFFECT_ASK_AT_DEADLINE,
  EFFECT_ASK_HEADER_BYTES,
  EFFECT_EMIT,
  EFFECT_KEYED_HEADER_BYTES,
  EFFECT_REPLY,
  EFFECT_SEND,
  EFFECT_SEND_HEADER_BYTES,
  EFFECT_STATE_DELETE,
  EFFECT_STATE_PUT,
  EFFECT_TIMER_AT_DUE,
  EFFECT_TIMER_AT_ID,
  EFFECT_TIMER_CANCEL,
  EFFECT_TIMER_HEADER_BYTES,
  EFFECT_TIMER_SET,
  EffectRing,
} from "../../src/actors/wasm/effects.ts";
import { encodeEnvelope } from "../../src/actors/wasm/envelope.ts";
import {
  ACCEPTED_DISCARDED,
  ACCEPTED_REMEMBERED,
  FRAME_FLAG_EPOCH,
  FrameWriter,
  SOURCE_CLIENT,
  SOURCE_PARTITION,
  TURN_OVERHEAD_BYTES,
  readFrameHeader,
} from "../../src/storage/frame-codec.ts";
import { checkpointOf, readTurnEntry, visitEntries } from "../../src/storage/frame-entries.ts";
import type { EntryVisitor } from "../../src/storage/frame-entries.ts";

const golden = readFileSync(join(import.meta.dirname, "frame-v2.bin"));

const envelope = encodeEnvelope({
  flags: 17,
  id: "id-1",
  sender: "client",
  receiver: "default/agent/key",
  performative: "request",
  contentType: "text/plain",
  content: Buffer.from("größe"),
  correlation: 5n,
  conversationId: "talk",
  headers: { traceparent: "00-1" },
});

const HEADER = {
  flags: FRAME_FLAG_EPOCH,
  partition: 3,
  epoch: 4,
  incarnation: 0x89abcdef,
  frameNo: 2 ** 33 + 1,
  previousCrc: 0xfedcba98,
  timeMs: 1_700_000_000_123.5,
  checkpointFrameNo: 2 ** 33,
};

const UPGRADE = { nowMs: 1_700_000_000_200.5, seed: 0xcafebabe, environment: 13 };

const CHECKPOINT = { stateFrameNo: 2 ** 33 - 1, sha256: "0123456789abcdef".repeat(4) };

const TURN = {
  consumedSeq: 2 ** 40 + 7,
  rootSeq: 2 ** 40 + 5,
  messagePosition: 2 ** 50 + 9,
  sendNoBase: 2 ** 35 + 3,
  nowMs: 1_700_000_000_100.25,
  seed: 0xdeadbeef,
  environment: 12,
  open: true,
};

const FAILED = {
  seq: 21,
  messagePosition: 2 ** 50 + 11,
  attempts: 2,
  atMs: 1_700_000_000_300,
  code: "AGENT_TRAPPED",
  reason: "unreachable: größe",
};

const GIVEN_UP = {
  seq: 22,
  messagePosition: 2 ** 50 + 13,
  attempts: 3,
  atMs: 1_700_000_000_400,
  code: "AGENT_FAILED",
  reason: "gave up",
};

/** One effect of each kind, as host calls write them. */
function writeEffects(): EffectRing {
  const ring = new EffectRing(4096);
  const { bytes, view } = ring;
  const send = EFFECT_SEND_HEADER_BYTES;
  for (const kind of [EFFECT_SEND, EFFECT_REPLY]) {
    envelope.copy(bytes, ring.reserve(kind, 0, 0x11223344, send + envelope.length) + send);
  }
  const ask = ring.reserve(EFFECT_ASK, 0, 0x55667788, EFFECT_ASK_HEADER_BYTES + envelope.length);
  view.setFloat64(ask + EFFECT_ASK_AT_DEADLINE, 1_700_000_030_100, true);
  envelope.copy(bytes, ask + EFFECT_ASK_HEADER_BYTES);
  for (const [kind, key, value] of [
    [EFFECT_STATE_PUT, "key", "value"],
    [EFFECT_STATE_DELETE, "gone", ""],
    [EFFECT_EMIT, "topic", "event"],
  ] as const) {
    const length = EFFECT_KEYED_HEADER_BYTES + key.length + value.length;
    const at = ring.reserve(kind, key.length, value.length, length);
    bytes.write(key + value, at + EFFECT_KEYED_HEADER_BYTES);
  }
  const set = ring.reserve(EFFECT_TIMER_SET, 0, 4, EFFECT_TIMER_HEADER_BYTES + 4);
  view.setBigUint64(set + EFFECT_TIMER_AT_ID, 0xf000000000000001n, true);
  view.setFloat64(set + EFFECT_TIMER_AT_DUE, 1_700_000_001_000, true);
  bytes.write("tick", set + EFFECT_TIMER_HEADER_BYTES);
  const cancel = ring.reserve(EFFECT_TIMER_CANCEL, 0, 0, EFFECT_TIMER_AT_DUE);
  view.setBigUint64(cancel + EFFECT_TIMER_AT_ID, 2n, true);
  return ring;
}

const ring = writeEffects();
const digest = ring.digest(0, ring.cursor);

function encode(): Buffer {
  const writer = new FrameWriter(8192);
  const { length } = envelope;
  writer.accepted(SOURCE_CLIENT | ACCEPTED_REMEMBERED, 0, 0x89abcdef, 0, envelope, 0, length);
  writer.accepted(SOURCE_PARTITION | ACCEPTED_DISCARDED, 9, 8, 2 ** 34, envelope, 0, length);
  const { consumedSeq, rootSeq, sendNoBase, nowMs, seed, environment, open } = TURN;
  const { messagePosition } = TURN;
  writer.turn(
    consumedSeq,
    rootSeq,
    sendNoBase,
    nowMs,
    seed,
    environment,
    digest,
    open,
    messagePosition,
    ring.bytes,
    0,
    ring.cursor,
  );
  writer.turnFailed(FAILED);
  writer.deadLetter(GIVEN_UP);
  writer.intent(23, 1);
  writer.control('{"kind":"resume","agent":"default/agent"}');
  writer.systemSend(2 ** 36, envelope, 0, length);
  writer.moved(24, envelope, 0, length);
  writer.checkpoint(CHECKPOINT);
  writer.upgrade(UPGRADE, Buffer.from("default/agent/key"), Buffer.from("state"));
  return Buffer.from(writer.seal(HEADER).frame);
}

/** Every entry as the visitor is told of it. */
function decode(frame: Buffer): unknown[] {
  const seen: unknown[] = [];
  const slice = (bytes: Buffer, from: number, length: number) =>
    bytes.toString("hex", from, from + length);
  const visitor: EntryVisitor = {
    accepted: (flags, source, incarnation, n, bytes, offset, length) =>
      seen.push(["accepted", flags, source, incarnation, n, slice(bytes, offset, length)]),
    turn: (turn, bytes, from, to) => seen.push(["turn", turn, slice(bytes, from, to - from)]),
    turnFailed: (...fields) => seen.push(["turnFailed", ...fields]),
    deadLetter: (...fields) => seen.push(["deadLetter", ...fields]),
    intent: (...fields) => seen.push(["intent", ...fields]),
    control: (...fields) => seen.push(["control", ...fields]),
    systemSend: (sendNo, bytes, offset, length) =>
      seen.push(["systemSend", sendNo, slice(bytes, offset, length)]),
    moved: (seq, bytes, offset, length) => seen.push(["moved", seq, slice(bytes, offset, length)]),
    checkpoint: (fields) => seen.push(["checkpoint", fields]),
    upgrade: (fields, address, bytes, entry, from, to) =>
      seen.push(["upgrade", fields, address, bytes[entry], bytes.toString("latin1", from, to)]),
  };
  visitEntries(frame, readFrameHeader(frame), visitor);
  return seen;
}

describe("a frame with everything in it", () => {
  test("is encoded into the committed bytes", () => {
    expect(encode().toString("hex")).toBe(golden.toString("hex"));
  });

  test("has the header that was given", () => {
    expect(readFrameHeader(golden)).toMatchObject({
      ...HEADER,
      payloadBytes: golden.length - 64,
      entryCount: 11,
      payloadCrc: crc32(golden.subarray(64)),
    });
  });

  test("is decoded into the same fields, entry by entry", () => {
    const message = envelope.toString("hex");
    const effects = ring.bytes.toString("hex", 0, ring.cursor);
    expect(decode(golden)).toEqual([
      ["accepted", 0x40, 0, 0x89abcdef, 0, message],
      ["accepted", 0x81, 9, 8, 2 ** 34, message],
      ["turn", { ...TURN, digest }, effects],
      ["turnFailed", FAILED],
      ["deadLetter", GIVEN_UP],
      ["intent", 23, 1],
      ["control", '{"kind":"resume","agent":"default/agent"}'],
      ["systemSend", 2 ** 36, message],
      ["moved", 24, message],
      ["checkpoint", CHECKPOINT],
      ["upgrade", UPGRADE, "default/agent/key", 10, "state"],
    ]);
  });

  test("gives the checkpoint it names", () => {
    expect(checkpointOf(golden)).toEqual(CHECKPOINT);
  });

  test("gives a turn's fields without its effects, as replay reads them", () => {
    const at = golden.indexOf(ring.bytes.subarray(0, ring.cursor)) - TURN_OVERHEAD_BYTES;
    const entry = golden.subarray(at, at + TURN_OVERHEAD_BYTES);
    expect(readTurnEntry(entry)).toEqual({ ...TURN, digest });
  });

  test("has the digest of this format", () => {
    expect(digest).toBe(2_764_066_876);
    expect(ring.digest(0, 0)).toBe(3_954_623_016);
  });
});

describe("damage is detected", () => {
  test("in every single byte", () => {
    for (let at = 0; at < golden.length; at++) {
      const damaged = Buffer.from(golden);
      damaged[at]! ^= 1 << (at % 8);
      expect(() => readFrameHeader(damaged), `byte ${String(at)}`).toThrow(
        expect.objectContaining({ code: "STORAGE_CORRUPT" }),
      );
    }
  });

  test("when the frame ends anywhere too early, or too late", () => {
    for (let length = 0; length < golden.length; length++) {
      expect(() => readFrameHeader(golden.subarray(0, length)), String(length)).toThrow(
        expect.objectContaining({ code: "STORAGE_CORRUPT" }),
      );
    }
    const longer = Buffer.concat([golden, Buffer.alloc(1)]);
    expect(() => readFrameHeader(longer)).toThrow(/its length is wrong/);
  });

  test("of entries in a frame whose checksums are right", () => {
    const header = readFrameHeader(golden);
    const visit = (frame: Buffer, entryCount: number) => () => {
      const ignore = () => undefined;
      const visitor: EntryVisitor = {
        accepted: ignore,
        turn: ignore,
        turnFailed: ignore,
        deadLetter: ignore,
        intent: ignore,
        control: ignore,
        systemSend: ignore,
        moved: ignore,
        checkpoint: ignore,
        upgrade: ignore,
      };
      visitEntries(frame, { ...header, entryCount }, visitor);
    };
    expect(visit(golden, 12)).toThrow(/an entry is cut off/);
    expect(visit(golden, 10)).toThrow(/bytes are left after its last entry/);
    const unknown = Buffer.from(golden);
    unknown[64] = 99;
    expect(visit(unknown, 11)).toThrow(/an entry of unknown kind 99/);
  });

  test.each([
    [3, "STORAGE_FORMAT_NEWER"],
    [1, "STORAGE_FORMAT_OLDER"],
  ])("and format %i is told from damage", (version, code) => {
    const other = Buffer.from(golden);
    other.writeUInt16LE(version, 4);
    other.writeUInt32LE(crc32(other.subarray(0, 60)), 60);
    expect(() => readFrameHeader(other)).toThrow(expect.objectContaining({ code }));
  });
});
