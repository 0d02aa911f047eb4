/**
 * Ids of messages that actors send: log incarnation (8 hex digits), partition (3), number of the send in
 * its partition (11). Readable, unique for ever, and made without a look-up.
 */
export const MESSAGE_NUMBER_BYTES = 22;
const PREFIX_BYTES = 11;
const DIGITS = Buffer.from("0123456789abcdef", "latin1");

export function messageIdPrefix(incarnation: number, partition: number): Buffer {
  const text = incarnation.toString(16).padStart(8, "0") + partition.toString(16).padStart(3, "0");
  return Buffer.from(text, "latin1");
}

export function writeMessageId(out: Buffer, at: number, prefix: Buffer, sendNo: number): void {
  for (let i = 0; i < PREFIX_BYTES; i++) out[at + i] = prefix[i]!;
  let low = sendNo >>> 0;
  let high = Math.floor(sendNo / 0x100000000);
  for (let i = MESSAGE_NUMBER_BYTES - 1; i >= PREFIX_BYTES + 3; i--) {
    out[at + i] = DIGITS[low & 15]!;
    low >>>= 4;
  }
  for (let i = PREFIX_BYTES + 2; i >= PREFIX_BYTES; i--) {
    out[at + i] = DIGITS[high & 15]!;
    high >>>= 4;
  }
}
