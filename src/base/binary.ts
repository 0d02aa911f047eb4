/** Flat binary forms: little-endian, no padding. "u53" is an f64 that holds an integer. */
import { invariant } from "./assert.ts";

const INITIAL_BYTES = 4096;

/** Appends to a buffer that doubles when it is full. */
export class BinaryWriter {
  private readonly allocate: (bytes: number) => Buffer;
  private bytes: Buffer;
  private at = 0;

  constructor(
    initialBytes = INITIAL_BYTES,
    allocate = (bytes: number): Buffer => Buffer.allocUnsafe(bytes),
  ) {
    this.allocate = allocate;
    this.bytes = allocate(initialBytes);
  }

  get length(): number {
    return this.at;
  }

  u8(value: number): void {
    this.reserve(1);
    this.at = this.bytes.writeUInt8(value, this.at);
  }

  u32(value: number): void {
    this.reserve(4);
    this.at = this.bytes.writeUInt32LE(value, this.at);
  }

  u64(value: bigint): void {
    this.reserve(8);
    this.at = this.bytes.writeBigUInt64LE(value, this.at);
  }

  /** A u53, or a time in milliseconds. */
  f64(value: number): void {
    this.reserve(8);
    this.at = this.bytes.writeDoubleLE(value, this.at);
  }

  /** Bytes whose number the reader knows. */
  raw(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.at);
    this.at += bytes.length;
  }

  /** Bytes behind their number. */
  block(bytes: Uint8Array): void {
    this.u32(bytes.length);
    this.raw(bytes);
  }

  /** One byte a character: ASCII, addresses, state keys. */
  latin1(text: string): void {
    this.u32(text.length);
    this.reserve(text.length);
    this.at += this.bytes.write(text, this.at, "latin1");
  }

  utf8(text: string): void {
    this.block(Buffer.from(text, "utf8"));
  }

  /** How many, and each. */
  list<T>(items: Iterable<T>, write: (item: T) => void): void {
    const setCount = this.later();
    let count = 0;
    for (const item of items) {
      write(item);
      count++;
    }
    setCount(count);
  }

  /** Leaves room for a u32; the function returned fills it. */
  later(): (value: number) => void {
    const at = this.at;
    this.u32(0);
    return (value) => {
      this.bytes.writeUInt32LE(value, at);
    };
  }

  /** What was written, as it is: growing does not change it, nor does what is written after it. */
  view(from: number, to: number): Buffer {
    return this.bytes.subarray(from, to);
  }

  /** A copy of what was written. */
  finish(): Buffer<ArrayBuffer> {
    return Buffer.from(Uint8Array.from(this.bytes.subarray(0, this.at)).buffer);
  }

  private reserve(bytes: number): void {
    const need = this.at + bytes;
    if (need <= this.bytes.length) return;
    const grown = this.allocate(Math.max(need, this.bytes.length * 2));
    this.bytes.copy(grown, 0, 0, this.at);
    this.bytes = grown;
  }
}

/** Reads what a BinaryWriter wrote. Going past the end throws a RangeError. */
export class BinaryReader {
  private readonly bytes: Buffer;
  private at: number;

  constructor(bytes: Buffer, offset = 0) {
    this.bytes = bytes;
    this.at = offset;
  }

  get offset(): number {
    return this.at;
  }

  u8(): number {
    return this.bytes.readUInt8(this.advance(1));
  }

  u32(): number {
    return this.bytes.readUInt32LE(this.advance(4));
  }

  u64(): bigint {
    return this.bytes.readBigUInt64LE(this.advance(8));
  }

  f64(): number {
    return this.bytes.readDoubleLE(this.advance(8));
  }

  /** A view, not a copy. */
  raw(length: number): Buffer {
    const from = this.advance(length);
    if (this.at > this.bytes.length) throw new RangeError("the bytes end too soon");
    return this.bytes.subarray(from, this.at);
  }

  block(): Buffer {
    return this.raw(this.u32());
  }

  latin1(): string {
    return this.block().toString("latin1");
  }

  utf8(): string {
    return this.block().toString("utf8");
  }

  list<T>(read: () => T): T[] {
    const items: T[] = [];
    for (let left = this.u32(); left > 0; left--) items.push(read());
    return items;
  }

  end(): void {
    invariant(this.at === this.bytes.length, "all bytes are read");
  }

  private advance(bytes: number): number {
    const from = this.at;
    this.at += bytes;
    return from;
  }
}
