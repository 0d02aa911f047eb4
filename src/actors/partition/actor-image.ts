/**
 * The image of one actor between two turns: memory, key-value state and open handlers. What replay goes on
 * from instead of the actor's first turn.
 */
import { crc32 } from "node:zlib";
import { BinaryReader } from "../../base/binary.ts";
import type { BinaryWriter } from "../../base/binary.ts";
import { Handler } from "./actor.ts";
import type { Actor } from "./actor.ts";

const IMAGE_MAGIC = 0x31415843; // "CXA1"
const CHECKED_FROM = 8;

/** What a replay begins with. */
export interface ReplayBase {
  /** Environment the memory belongs to. */
  readonly environment: number;
  /** As the executor wrote it. */
  readonly memory: Buffer;
  readonly state: Map<string, Buffer>;
  readonly handlers: Map<number, Handler>;
}

export function writeActorImage(writer: BinaryWriter, actor: Actor, memory: Uint8Array): void {
  const from = writer.length;
  writer.u32(IMAGE_MAGIC);
  const checksum = writer.later();
  writer.u32(actor.environment.id);
  writer.block(memory);
  writeState(writer, actor.state);
  writeHandlers(writer, actor.handlers.values());
  checksum(crc32(writer.view(from + CHECKED_FROM, writer.length)));
}

/** Undefined when the bytes are damaged. */
export function decodeActorImage(image: Buffer): ReplayBase | undefined {
  if (image.length < CHECKED_FROM || image.readUInt32LE(0) !== IMAGE_MAGIC) return undefined;
  if (image.readUInt32LE(4) !== crc32(image.subarray(CHECKED_FROM))) return undefined;
  const reader = new BinaryReader(image, CHECKED_FROM);
  return {
    environment: reader.u32(),
    memory: reader.block(),
    state: readState(reader),
    handlers: readHandlers(reader),
  };
}

export function writeState(writer: BinaryWriter, state: ReadonlyMap<string, Buffer>): void {
  writer.list(state, ([key, value]) => {
    writer.latin1(key);
    writer.block(value);
  });
}

/** The values are views. */
export function readState(reader: BinaryReader): Map<string, Buffer> {
  return new Map(reader.list(() => [reader.latin1(), reader.block()] as const));
}

export function writeHandlers(writer: BinaryWriter, handlers: Iterable<Handler>): void {
  writer.list(handlers, ({ root, replied }) => {
    writer.f64(root.seq);
    writer.u32(root.flags);
    writer.u8(replied ? 1 : 0);
    writer.block(root.envelope);
  });
}

export function readHandlers(reader: BinaryReader): Map<number, Handler> {
  const handlers = reader.list(() => {
    const [seq, flags, replied] = [reader.f64(), reader.u32(), reader.u8() === 1];
    return Handler.restored({ seq, flags, envelope: Buffer.from(reader.block()) }, replied);
  });
  return new Map(handlers.map((handler) => [handler.rootSeq, handler]));
}
