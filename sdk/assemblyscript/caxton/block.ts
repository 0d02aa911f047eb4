/** Memory outside the garbage collector that is kept and only ever grows. */
export class Block {
  at: usize = 0;
  private capacity: usize = 0;

  /** Makes room for `bytes`; what was written before stays. */
  reserve(bytes: usize): void {
    if (bytes <= this.capacity) return;
    let capacity: usize = this.capacity == 0 ? 1024 : this.capacity;
    while (capacity < bytes) capacity <<= 1;
    this.at = heap.realloc(this.at, capacity);
    this.capacity = capacity;
  }

  /** Writes text as UTF-8 at an offset and returns its bytes. */
  writeText(offset: i32, text: string): i32 {
    // A UTF-16 unit takes at most three bytes of UTF-8.
    this.reserve(offset + text.length * 3);
    return this.encodeText(offset, text);
  }

  writeBytes(offset: i32, from: usize, bytes: i32): i32 {
    this.reserve(offset + bytes);
    memory.copy(this.at + offset, from, bytes);
    return bytes;
  }

  private encodeText(offset: i32, text: string): i32 {
    return i32(
      String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, this.at + offset),
    );
  }
}
