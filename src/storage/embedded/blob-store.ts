/**
 * Blobs as files named by their hash. Owns `blobs/`: directories by the first two digits, made when
 * first needed, and `tmp`, emptied when the data directory is opened.
 */
import { CaxtonError } from "../../base/errors.ts";
import { BlobPuts, checkHash, hashOf } from "../blob-puts.ts";
import type { Blobs } from "../port.ts";
import {
  errorCodeOf,
  type FileSystem,
  isWantOfSpace,
  readFileIfPresent,
  writeFileDurably,
} from "./file-system.ts";
import { OpenBlobs } from "./open-blobs.ts";
import type { WriteGate } from "../write-gate.ts";

const TEMPORARY = "tmp";

export class BlobStore implements Blobs {
  readonly #files: FileSystem;
  readonly #open: OpenBlobs;
  readonly #directory: string;
  readonly #gate: WriteGate;
  /** Directories whose names this process knows to be durable. */
  readonly #directories = new Set<string>();
  readonly #puts: BlobPuts;

  constructor(files: FileSystem, directory: string, gate: WriteGate) {
    this.#files = files;
    this.#open = new OpenBlobs(files);
    this.#gate = gate;
    this.#directory = directory;
    this.#puts = new BlobPuts(gate, (sha256, content) => this.#write(sha256, content));
  }

  put(content: Uint8Array): Promise<string> {
    return this.#puts.put(content);
  }

  async get(sha256: string): Promise<Uint8Array | undefined> {
    const path = this.#path(sha256);
    let content: Uint8Array | undefined;
    try {
      content = await readFileIfPresent(this.#files, path);
    } catch (cause) {
      throw new CaxtonError("STORAGE_CORRUPT", `${path} can't be read.`, { cause });
    }
    if (content !== undefined && hashOf(content) !== sha256) {
      throw new CaxtonError("STORAGE_CORRUPT", `${path} does not match its hash.`);
    }
    return content;
  }

  async readRange(sha256: string, offset: number, length: number): Promise<Uint8Array | undefined> {
    const content = new Uint8Array(length);
    try {
      const bytes = await this.#open.read(this.#path(sha256), content, offset);
      return bytes === length ? content : undefined;
    } catch {
      return undefined;
    }
  }

  async list(): Promise<string[]> {
    const directories = await this.#files.list(this.#directory);
    const names = directories
      .filter((name) => name !== TEMPORARY)
      .map((name) => this.#files.list(`${this.#directory}/${name}`));
    return (await Promise.all(names)).flat();
  }

  async has(sha256: string): Promise<boolean> {
    return await this.#files.exists(this.#path(sha256));
  }

  async delete(sha256: string): Promise<void> {
    const path = this.#path(sha256);
    this.#open.forget(path);
    try {
      await this.#files.unlink(path);
    } catch (error) {
      if (errorCodeOf(error) !== "ENOENT") throw error;
    }
  }

  /** Resolves when no put is under way. */
  async close(): Promise<void> {
    this.#open.closeAll();
    await this.#puts.idle();
  }

  async #write(sha256: string, content: Uint8Array): Promise<void> {
    const directory = `${this.#directory}/${sha256.slice(0, 2)}`;
    try {
      await this.#makeDirectory(directory);
      if (await this.has(sha256)) {
        // A crash may have left the name in memory only.
        await this.#files.syncDirectory(directory);
        return;
      }
      const temporary = `${this.#directory}/${TEMPORARY}/${sha256}`;
      await writeFileDurably(this.#files, { directory, name: sha256, temporary }, content);
    } catch (error) {
      if (isWantOfSpace(error)) throw new CaxtonError("STORAGE_FULL", undefined, { cause: error });
      throw this.#gate.fail(error);
    }
  }

  async #makeDirectory(directory: string): Promise<void> {
    if (this.#directories.has(directory)) return;
    await this.#files.mkdir(directory);
    await this.#files.syncDirectory(this.#directory);
    this.#directories.add(directory);
  }

  #path(sha256: string): string {
    checkHash(sha256);
    return `${this.#directory}/${sha256.slice(0, 2)}/${sha256}`;
  }
}

export async function removeUnfinishedBlobs(files: FileSystem, directory: string): Promise<void> {
  for (const name of await files.list(`${directory}/${TEMPORARY}`)) {
    await files.unlink(`${directory}/${TEMPORARY}/${name}`);
  }
}
