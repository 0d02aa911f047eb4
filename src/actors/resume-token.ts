/**
 * How far a subscriber has come in the log of each partition, as text it hands in when it comes back.
 * Bytes in base64url: u8 version, u32 incarnation of the logs, then as varints: partition of the newest message,
 * messages taken of the frame after that partition's newest whole one, newest whole frame of each partition.
 */
import { CaxtonError } from "../base/errors.ts";

const VERSION = 1;
const HEADER_BYTES = 5;

export interface LogCursor {
  /** The newest frame of each partition of which nothing is left. */
  readonly frames: number[];
  partition: number;
  /** Messages taken of the next frame of that partition, whether or not they were wanted. */
  messages: number;
}

export function encodeResumeToken(cursor: LogCursor, incarnation: number): string {
  const bytes = [VERSION, ...uint32Bytes(incarnation)];
  for (const number of [cursor.partition, cursor.messages, ...cursor.frames]) {
    let rest = number;
    for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) bytes.push(0x80 | (rest % 0x80));
    bytes.push(rest);
  }
  return Buffer.from(bytes).toString("base64url");
}

/** Throws INVALID_ARGUMENT unless this node's log gave it out. */
export function decodeResumeToken(
  token: string,
  partitions: number,
  incarnation: number,
): LogCursor {
  const bytes = Buffer.from(token, "base64url");
  const [partition, messages, ...frames] = varints(bytes);
  const isOurs =
    bytes.length > HEADER_BYTES &&
    bytes[0] === VERSION &&
    bytes.readUInt32LE(1) === incarnation &&
    frames.length === partitions &&
    partition! < partitions;
  if (isOurs) return { frames, partition: partition!, messages: messages! };
  throw new CaxtonError("INVALID_ARGUMENT", "The resume token is not one this server gave out.");
}

function uint32Bytes(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function varints(bytes: Buffer): number[] {
  const numbers: number[] = [];
  let [number, scale] = [0, 1];
  for (const byte of bytes.subarray(HEADER_BYTES)) {
    number += (byte & 0x7f) * scale;
    scale *= 0x80;
    if (byte > 0x7f) continue;
    numbers.push(number);
    [number, scale] = [0, 1];
  }
  return numbers;
}
