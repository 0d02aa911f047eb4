/** Memory outside the garbage collector that is kept and only ever grows. */
export class Block {
  at: usize = 0;
  private capacity: usize = 0;

  /** Makes room for `bytes`; what was written before stays. */
  reserve(bytes: usize): void {
    if (bytes <= this.capacity) return;
    let capacity: usize = this.capacity == 0 ? 1024 : this.capacity;
    while (capacity < bytes) capacity <<= 1;
    this.at = this.at == 0 ? heap.alloc(capacity) : heap.realloc(this.at, capacity);
    this.capacity = capacity;
  }

  /** Writes text as UTF-8 at an offset and returns its bytes. */
  writeText(offset: i32, text: string): i32 {
    // A UTF-16 unit takes at most three bytes of UTF-8.
    this.reserve(offset + text.length * 3);
    const at = this.at + offset;
    return i32(String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, at));
  }

  writeBytes(offset: i32, from: usize, bytes: i32): i32 {
    this.reserve(offset + bytes);
    memory.copy(this.at + offset, from, bytes);
    return bytes;
  }
}
