import { createHash } from "node:crypto";

/** A frame whose every byte follows from its name. */
export function frameOf(name: string, bytes: number): Uint8Array {
  const frame = new Uint8Array(bytes);
  let state = createHash("sha256").update(name).digest().readUInt32LE(0) | 1;
  for (let i = 0; i < bytes; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    frame[i] = state >>> 24;
  }
  return frame;
}
