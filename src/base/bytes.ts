/** A copy of [offset, offset + length), in memory of its own or in a pool of small ones. */
export function copyOf(bytes: Buffer, offset: number, length: number): Buffer {
  const copy = Buffer.allocUnsafe(length);
  bytes.copy(copy, 0, offset, offset + length);
  return copy;
}
