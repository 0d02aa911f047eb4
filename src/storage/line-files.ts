/**
 * Lines of text by name (`namespace/name`), for people: kept over a restart, in two files each, the one that
 * grows and the one before it.
 *
 * Owns the files of its folder and the lines on their way there.
 * 1. The two files of a name have bytesMax at most, all of them totalBytesMax: what is oldest goes first,
 *    of names the one not written for longest.
 * 2. Nobody waits for the disk: lines that it does not take in time, or at all, are lost and counted.
 * 3. Lines are not synced: a crash of the process loses none that were written, one of the machine may.
 * 4. A damaged line costs nothing but itself: what follows a write that may have ended early begins a new one.
 */
import { existsSync, readFileSync } from "node:fs";
import { appendFile, mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { ensureError } from "../base/errors.ts";

const PENDING_BYTES_MAX = 8 * 1024 * 1024;
const FILE_NAME = /^([a-z0-9-]+)\.([a-z0-9-]+)(\.old)?\.jsonl$/;

export interface LineFilesOptions {
  readonly directory: string;
  readonly bytesMax: number;
  readonly totalBytesMax: number;
  lost(lines: number, why: Error): void;
}

interface Files {
  growing: number;
  old: number;
  mayBeTorn: boolean;
}

export class LineFiles {
  readonly #options: LineFilesOptions;
  /** Those not written for longest come first. */
  readonly #files = new Map<string, Files>();
  /** Lines to write; null for a name to remove. */
  readonly #pending = new Map<string, string[] | null>();
  #pendingBytes = 0;
  #flushing: Promise<void> | undefined;

  private constructor(options: LineFilesOptions) {
    this.#options = options;
  }

  static async open(options: LineFilesOptions): Promise<LineFiles> {
    const opened = new LineFiles(options);
    await opened.#find();
    return opened;
  }

  get names(): string[] {
    return [...this.#files.keys()];
  }

  append(name: string, line: string): void {
    const bytes = bytesOf(line);
    if (this.#pendingBytes + bytes > PENDING_BYTES_MAX) {
      this.#options.lost(1, new Error("the disk does not keep up"));
      return;
    }
    const pending = this.#pending.get(name) ?? [];
    pending.push(line);
    this.#pending.set(name, pending);
    this.#pendingBytes += bytes;
    this.#startFlush();
  }

  /** Lines on the disk, oldest first; those that were appended lately may not be there yet. */
  read(name: string): string[] {
    const paths = [this.#path(name, ".old"), this.#path(name, "")].filter((p) => existsSync(p));
    return paths.flatMap((path) => readFileSync(path, "utf8").split("\n")).filter((l) => l !== "");
  }

  remove(name: string): void {
    for (const line of this.#pending.get(name) ?? []) this.#pendingBytes -= bytesOf(line);
    this.#pending.set(name, null);
    this.#startFlush();
  }

  /** Writes what waits. */
  async close(): Promise<void> {
    await this.#flushing;
  }

  #startFlush(): void {
    this.#flushing ??= this.#flush().finally(() => (this.#flushing = undefined));
  }

  /** Lines that come while one name is written travel together. */
  async #flush(): Promise<void> {
    await nextTurn();
    for (let next = first(this.#pending); next !== undefined; next = first(this.#pending)) {
      const [name, lines] = next;
      this.#pending.delete(name);
      for (const line of lines ?? []) this.#pendingBytes -= bytesOf(line);
      try {
        if (lines === null) await this.#delete(name);
        else await this.#write(name, lines);
      } catch (thrown) {
        this.#options.lost(lines?.length ?? 0, ensureError(thrown));
      }
    }
  }

  async #write(name: string, lines: readonly string[]): Promise<void> {
    const files = this.#files.get(name) ?? { growing: 0, old: 0, mayBeTorn: false };
    this.#files.delete(name);
    this.#files.set(name, files);
    const most = this.#options.bytesMax / 2;
    let piece: string[] = [];
    let bytes = files.growing;
    for (const line of lines) {
      if (bytes > 0 && bytes + bytesOf(line) > most) {
        await this.#grow(name, files, piece);
        await rename(this.#path(name, ""), this.#path(name, ".old"));
        files.old = files.growing;
        files.growing = bytes = 0;
        piece = [];
      }
      piece.push(line);
      bytes += bytesOf(line);
    }
    await this.#grow(name, files, piece);
    await this.#keepTotal(name);
  }

  async #grow(name: string, files: Files, lines: readonly string[]): Promise<void> {
    if (lines.length === 0) return;
    const text = `${lines.join("\n")}\n`;
    const whole = files.mayBeTorn ? `\n${text}` : text;
    files.mayBeTorn = true;
    await appendFile(this.#path(name, ""), whole, { mode: 0o600 });
    files.mayBeTorn = false;
    files.growing += Buffer.byteLength(whole);
  }

  async #keepTotal(written: string): Promise<void> {
    let total = 0;
    for (const { growing, old } of this.#files.values()) total += growing + old;
    for (const [name, { growing, old }] of this.#files) {
      if (total <= this.#options.totalBytesMax || name === written) return;
      await this.#delete(name);
      total -= growing + old;
    }
  }

  async #delete(name: string): Promise<void> {
    this.#files.delete(name);
    await rm(this.#path(name, ".old"), { force: true });
    await rm(this.#path(name, ""), { force: true });
  }

  async #find(): Promise<void> {
    const { directory } = this.#options;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const found: { name: string; isOld: boolean; bytes: number; writtenMs: number }[] = [];
    for (const file of await readdir(directory)) {
      const [, namespace = "", agent = "", old] = FILE_NAME.exec(file) ?? [];
      if (agent === "") continue;
      const { size: bytes, mtimeMs: writtenMs } = await stat(join(directory, file));
      const name = `${namespace}/${agent}`;
      found.push({ name, isOld: old !== undefined, bytes, writtenMs });
    }
    found.sort((a, b) => a.writtenMs - b.writtenMs);
    for (const { name, isOld, bytes } of found) {
      const files = this.#files.get(name) ?? { growing: 0, old: 0, mayBeTorn: true };
      this.#files.delete(name);
      this.#files.set(name, { ...files, [isOld ? "old" : "growing"]: bytes });
    }
  }

  #path(name: string, suffix: "" | ".old"): string {
    return join(this.#options.directory, `${name.replace("/", ".")}${suffix}.jsonl`);
  }
}

function bytesOf(line: string): number {
  return Buffer.byteLength(line) + 1;
}

function first<K, V>(map: ReadonlyMap<K, V>): [K, V] | undefined {
  const { value } = map.entries().next();
  return value;
}
