/** The bytes do not follow the binary format at `offset`. */
export class FormatError extends Error {
  readonly offset: number;

  constructor(offset: number, message: string) {
    super(message);
    this.name = "FormatError";
    this.offset = offset;
  }
}

/**
 * A cursor over part of a module. Never reads outside [start, end) and never trusts a claimed count:
 * every element read takes at least one byte, so a false count ends in a FormatError.
 */
export class ByteReader {
  readonly bytes: Uint8Array;
  readonly end: number;
  offset: number;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.bytes = bytes;
    this.offset = start;
    this.end = end;
  }

  get done(): boolean {
    return this.offset >= this.end;
  }

  byte(): number {
    if (this.offset >= this.end) throw new FormatError(this.offset, "ends too early");
    return this.bytes[this.offset++]!;
  }

  /** An unsigned LEB128 of at most 32 bits. */
  u32(): number {
    const start = this.offset;
    let value = 0;
    for (let factor = 1; factor <= 0x10000000; factor *= 128) {
      const byte = this.byte();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) {
        if (value > 0xffffffff) break;
        return value;
      }
    }
    throw new FormatError(start, "holds a number of more than 32 bits");
  }

  /** The signed LEB128 of a block type or heap type; negative values stand for short forms. */
  s33(): number {
    const start = this.offset;
    let value = 0;
    for (let factor = 1; factor <= 0x10000000; factor *= 128) {
      const byte = this.byte();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return byte & 0x40 ? value - factor * 128 : value;
    }
    throw new FormatError(start, "holds a number of more than 33 bits");
  }

  /** Skips one LEB128 of any sign and at most 64 bits. */
  skipNumber(): void {
    for (let length = 0; length < 10; length += 1) if (this.byte() < 0x80) return;
    throw new FormatError(this.offset, "holds a number of more than 64 bits");
  }

  skip(length: number): void {
    if (length > this.end - this.offset) throw new FormatError(this.offset, "ends too early");
    this.offset += length;
  }

  /** A reader over the next `length` bytes, which this one steps over. */
  part(length: number): ByteReader {
    const start = this.offset;
    this.skip(length);
    return new ByteReader(this.bytes, start, this.offset);
  }

  name(): string {
    const part = this.part(this.u32());
    return UTF8.decode(part.bytes.subarray(part.offset, part.end));
  }
}

const UTF8 = new TextDecoder();
