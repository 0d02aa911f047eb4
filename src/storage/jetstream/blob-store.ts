/**
 * Blobs as messages: chunks on subjects of their own, and a last one, the head, that makes the blob whole.
 *
 * 1. The head is sent when every chunk is acknowledged; without a head there is no blob.
 * 2. A blob always has the same chunks, so that two who store it at once, or one who stores it again after it
 *    was interrupted, write the same.
 * 3. The head of a small blob is the blob.
 * 4. What is stored again is written again, and what is deleted is what this node stored last, or found when it was
 *    opened: so an old owner can't delete what a new one has stored meanwhile.
 */
import { CaxtonError } from "../../base/errors.ts";
import type { Subjects } from "../../base/nats-subjects.ts";
import { BlobPuts, checkHash, hashOf } from "../blob-puts.ts";
import type { Blobs } from "../port.ts";
import type { WriteGate } from "../write-gate.ts";
import { type BlobHead, headHeaders, readHead } from "./blob-head.ts";
import type { JetStreamApi } from "./jetstream-api.ts";
import { publishUntilAcked } from "./publisher.ts";

const CHUNK_BYTES = 256 * 1024;
/** Larger ones are not sent along whenever somebody asks whether there is such a blob. */
const SMALL_BYTES_MAX = 64 * 1024;
const CHUNKS_AT_ONCE = 8;
const HEADS_MAX = 4096;

export interface BlobStoreOptions {
  readonly api: JetStreamApi;
  readonly subjects: Subjects;
  readonly gate: WriteGate;
  /** Newest message of the stream when storage was opened. */
  readonly foundUpTo: number;
}

export class BlobStore implements Blobs {
  readonly #api: JetStreamApi;
  readonly #subjects: Subjects;
  readonly #puts: BlobPuts;
  readonly #foundUpTo: number;
  /** Where the heads are that this node wrote. */
  readonly #written = new Map<string, number>();
  /** Heads of large blobs that were read from lately, those read last at the end. */
  readonly #heads = new Map<string, BlobHead>();

  constructor({ api, subjects, gate, foundUpTo }: BlobStoreOptions) {
    this.#foundUpTo = foundUpTo;
    this.#api = api;
    this.#subjects = subjects;
    this.#puts = new BlobPuts(gate, (sha256, content) => this.#write(sha256, content));
  }

  put(content: Uint8Array): Promise<string> {
    return this.#puts.put(content);
  }

  async get(sha256: string): Promise<Uint8Array | undefined> {
    const head = await this.#head(sha256);
    if (head === undefined) return undefined;
    const content = await this.#range(sha256, head, 0, head.bytes);
    if (content === undefined && (await this.#readHead(sha256)) === undefined) return undefined;
    if (content !== undefined && hashOf(content) === sha256) return content;
    const what = content === undefined ? "lacks a part" : "does not match its hash";
    throw new CaxtonError("STORAGE_CORRUPT", `Blob ${sha256} ${what}.`);
  }

  async readRange(sha256: string, offset: number, length: number): Promise<Uint8Array | undefined> {
    const head = await this.#head(sha256);
    if (head === undefined || offset < 0 || offset + length > head.bytes) return undefined;
    return this.#range(sha256, head, offset, length);
  }

  async has(sha256: string): Promise<boolean> {
    return (await this.#readHead(sha256)) !== undefined;
  }

  async list(): Promise<string[]> {
    const { blobStream, allBlobHeads, hashOfBlob } = this.#subjects;
    const heads = await this.#api.subjectsIn(blobStream, allBlobHeads);
    return heads.map(hashOfBlob);
  }

  async delete(sha256: string): Promise<void> {
    checkHash(sha256);
    this.#heads.delete(sha256);
    const { blobStream, wholeBlob } = this.#subjects;
    const written = this.#written.get(sha256);
    const upTo = written ?? this.#foundUpTo;
    await this.#api.purgeUpTo(blobStream, wholeBlob(sha256), upTo);
    if (this.#written.get(sha256) === written) this.#written.delete(sha256);
    this.#heads.delete(sha256);
  }

  /** Resolves when no put is under way. */
  async close(): Promise<void> {
    await this.#puts.idle();
  }

  async #write(sha256: string, content: Uint8Array): Promise<void> {
    const { link } = this.#api;
    const isSmall = content.length <= SMALL_BYTES_MAX;
    if (!isSmall) await this.#writeChunks(sha256, content);
    const headers = headHeaders({
      bytes: content.length,
      chunkBytes: CHUNK_BYTES,
      content: undefined,
    });
    const body = isSmall ? content : new Uint8Array(0);
    const { blobStream: stream } = this.#subjects;
    const subject = this.#subjects.blobHead(sha256);
    const head = await publishUntilAcked(link, { stream, subject, body, headers });
    this.#written.set(sha256, head);
  }

  async #writeChunks(sha256: string, content: Uint8Array): Promise<void> {
    const { blobStream: stream } = this.#subjects;
    const count = Math.ceil(content.length / CHUNK_BYTES);
    let next = 0;
    const writeSome = async (): Promise<void> => {
      for (let chunk = next++; chunk < count; chunk = next++) {
        const body = content.subarray(chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES);
        const subject = this.#subjects.blobChunk(sha256, chunk);
        await publishUntilAcked(this.#api.link, { stream, subject, body, headers: {} });
      }
    };
    await Promise.all(Array.from({ length: Math.min(CHUNKS_AT_ONCE, count) }, writeSome));
  }

  async #range(
    sha256: string,
    { bytes, chunkBytes, content }: BlobHead,
    offset: number,
    length: number,
  ): Promise<Uint8Array | undefined> {
    if (content !== undefined) return content.slice(offset, offset + length);
    const range = new Uint8Array(length);
    const end = Math.ceil((offset + length) / chunkBytes);
    let next = Math.floor(offset / chunkBytes);
    const copyNext = async (): Promise<boolean> => {
      for (let chunk = next++; chunk < end; chunk = next++) {
        const at = chunk * chunkBytes;
        const part = await this.#chunk(sha256, chunk);
        if (part?.length !== Math.min(chunkBytes, bytes - at)) return false;
        const from = Math.max(offset, at);
        const to = Math.min(offset + length, at + part.length);
        range.set(part.subarray(from - at, to - at), from - offset);
      }
      return true;
    };
    const copied = await Promise.all(Array.from({ length: CHUNKS_AT_ONCE }, copyNext));
    return copied.includes(false) ? undefined : range;
  }

  async #chunk(sha256: string, chunk: number): Promise<Uint8Array | undefined> {
    const last_by_subj = this.#subjects.blobChunk(sha256, chunk);
    return (await this.#api.message(this.#subjects.blobStream, { last_by_subj }))?.body;
  }

  async #head(sha256: string): Promise<BlobHead | undefined> {
    const known = this.#heads.get(sha256);
    const head = known ?? (await this.#readHead(sha256));
    if (head === undefined || head.content !== undefined) return head;
    this.#heads.delete(sha256);
    this.#heads.set(sha256, head);
    if (this.#heads.size > HEADS_MAX) this.#heads.delete(this.#heads.keys().next().value!);
    return head;
  }

  async #readHead(sha256: string): Promise<BlobHead | undefined> {
    checkHash(sha256);
    const last_by_subj = this.#subjects.blobHead(sha256);
    const message = await this.#api.message(this.#subjects.blobStream, { last_by_subj });
    return message === undefined ? undefined : readHead(message);
  }
}
