/** Looks at a large file through one small piece of memory, best from front to back. */
import type { FileSystem } from "./file-system.ts";

const WINDOW_BYTES = 4 * 1024 * 1024;
const ZEROS = Buffer.alloc(256 * 1024);

export class FileWindow {
  readonly #files: FileSystem;
  #memory = Buffer.alloc(0);
  #fd = -1;
  #bytes = 0;
  #from = 0;
  #to = 0;

  constructor(files: FileSystem) {
    this.#files = files;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Looks at another file from now on. */
  async turnTo(fd: number): Promise<void> {
    this.#fd = fd;
    this.#bytes = await this.#files.size(fd);
    this.#from = 0;
    this.#to = 0;
  }

  /** Bytes from `from` on, fewer than asked only at the end. Good until the next call. */
  async view(from: number, length: number): Promise<Buffer> {
    const to = Math.min(from + length, this.#bytes);
    if (from < this.#from || to > this.#to) await this.#load(from, Math.max(0, to - from));
    return this.#memory.subarray(from - this.#from, Math.max(from, to) - this.#from);
  }

  /** The position after the last byte that is not zero, at least `from`. */
  async lastNonZero(from: number): Promise<number> {
    let end = from;
    for (let at = from; at < this.#bytes; at += ZEROS.length) {
      const piece = await this.view(at, ZEROS.length);
      if (piece.equals(ZEROS.subarray(0, piece.length))) continue;
      end = at + piece.length;
      while (piece[end - at - 1] === 0) end -= 1;
    }
    return end;
  }

  async #load(from: number, length: number): Promise<void> {
    const room = Math.max(length, Math.min(WINDOW_BYTES, this.#bytes));
    if (room > this.#memory.length) this.#memory = Buffer.allocUnsafeSlow(room);
    this.#from = from;
    this.#to = from;
    const wanted = Math.min(this.#memory.length, Math.max(0, this.#bytes - from));
    this.#to += await this.#files.read(this.#fd, this.#memory.subarray(0, wanted), from);
  }
}
