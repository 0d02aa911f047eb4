import type { Dice } from "./dice.ts";

/** Bytes that mean something to the format: limits of LEB128, types, prefixes, ends. */
const TELLING = [
  0x00, 0x01, 0x0b, 0x40, 0x7f, 0x80, 0xff, 0xfb, 0xfc, 0xfd, 0xfe, 0x12, 0x06, 0x23,
];

/** A copy with a few changes, most of which damage it. */
export function mutate(bytes: Uint8Array, dice: Dice): Uint8Array {
  let mutated = Buffer.from(bytes);
  for (let changes = dice.between(1, 4); changes > 0; changes -= 1) {
    mutated = change(mutated, dice);
  }
  return mutated;
}

function change(bytes: Buffer<ArrayBuffer>, dice: Dice): Buffer<ArrayBuffer> {
  // Mostly behind the header, which the deploy pipeline judges by itself.
  const at = Math.min(dice.chance(97) ? dice.between(8, bytes.length) : 0, bytes.length - 1);
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (dice.below(7)) {
    case 0:
      bytes[at]! ^= 1 << dice.below(8);
      return bytes;
    case 1:
      bytes[at] = dice.pick(TELLING);
      return bytes;
    case 2:
      return Buffer.concat([before, after.subarray(dice.between(1, 3))]);
    case 3:
      return Buffer.concat([before, Buffer.from([dice.pick(TELLING)]), after]);
    case 4:
      return Buffer.concat([before, after.subarray(0, dice.between(1, 20)), after]);
    case 5: // a huge count
      return Buffer.concat([
        before,
        Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f]),
        after.subarray(1),
      ]);
    default:
      return dice.chance(20) ? Buffer.from(before) : bytes;
  }
}
