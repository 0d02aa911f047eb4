/**
 * Files of blobs that are read from, a part at a time: opening and closing one costs more than a read.
 *
 * Owns their descriptors.
 * 1. At most FILES_MAX are kept open, those read last; one that is being read stays open until it has been.
 * 2. The file of a blob that goes is closed, or its space would stay taken.
 */
import type { FileSystem } from "./file-system.ts";

const FILES_MAX = 64;

interface OpenFile {
  readonly fd: Promise<number>;
  readers: number;
  /** Closed by its last reader. */
  isLeaving: boolean;
}

export class OpenBlobs {
  readonly #files: FileSystem;
  /** By path, those read last at the end. */
  readonly #open = new Map<string, OpenFile>();

  constructor(files: FileSystem) {
    this.#files = files;
  }

  /** Fills the memory from `offset` on and returns the bytes there were. */
  async read(path: string, memory: Uint8Array, offset: number): Promise<number> {
    const file = this.#take(path);
    try {
      return await this.#files.read(await file.fd, memory, offset);
    } catch (error) {
      this.#leave(path, file);
      throw error;
    } finally {
      file.readers--;
      this.#closeIfUnused(file);
    }
  }

  /** The file is not read from here any more. */
  forget(path: string): void {
    const file = this.#open.get(path);
    if (file === undefined) return;
    this.#leave(path, file);
    this.#closeIfUnused(file);
  }

  closeAll(): void {
    for (const path of [...this.#open.keys()]) this.forget(path);
  }

  #take(path: string): OpenFile {
    const file = this.#open.get(path) ?? {
      fd: this.#files.open(path, "r"),
      readers: 0,
      isLeaving: false,
    };
    file.readers++;
    this.#open.delete(path);
    this.#open.set(path, file);
    if (this.#open.size > FILES_MAX) this.forget(this.#open.keys().next().value!);
    return file;
  }

  #leave(path: string, file: OpenFile): void {
    file.isLeaving = true;
    if (this.#open.get(path) === file) this.#open.delete(path);
  }

  #closeIfUnused({ isLeaving, readers, fd }: OpenFile): void {
    if (!isLeaving || readers > 0) return;
    // One that could not be opened has told its readers, and of one that was only read nothing can be lost.
    fd.then((opened) => this.#files.close(opened)).catch(() => undefined);
  }
}
