/**
 * Blobs on behalf of workers, and the trimming of their logs.
 *
 * 1. A blob is answered for when it is durable; while there is no room it waits.
 * 2. At the start, before any worker stores one, blobs that nobody names go: a crash left them behind.
 */
import { setTimeout as wait } from "node:timers/promises";
import { CaxtonError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { LogRetention } from "./log-retention.ts";
import type { KernelWatcher } from "./kernel-watcher.ts";
import type { Storage } from "../storage/index.ts";
import type { FromWorker, ToWorker } from "./worker-protocol.ts";

const RETRY_MS = 1000;

export type BlobRequest = Extract<FromWorker, { kind: "store" | "fetch" | "trim" }>;
type BlobAnswer = Extract<ToWorker, { kind: "stored" | "fetched" }>;

export class WorkerBlobs {
  private readonly storage: Storage;
  private readonly log: Logger;
  private readonly watcher: KernelWatcher;
  private readonly faultPoint: (name: string) => void;
  private readonly retention: LogRetention;
  private stopped = false;

  constructor(
    storage: Storage,
    log: Logger,
    retention: LogRetention,
    ports: { readonly watcher: KernelWatcher; readonly faultPoint: (name: string) => void },
  ) {
    this.storage = storage;
    this.log = log;
    this.retention = retention;
    this.watcher = ports.watcher;
    this.faultPoint = ports.faultPoint;
  }

  async serve(request: BlobRequest): Promise<BlobAnswer | undefined> {
    switch (request.kind) {
      case "store": {
        this.faultPoint("blob.before-store");
        const sha256 = await this.store(request.content);
        this.faultPoint("blob.after-store");
        this.watcher.stored(request.content.length);
        return { kind: "stored", requestId: request.requestId, sha256 };
      }
      case "fetch": {
        const { requestId, sha256, offset, length } = request;
        const bytes = await this.storage.blobs.readRange(sha256, offset, length);
        return { kind: "fetched", requestId, bytes };
      }
      case "trim":
        this.faultPoint("log.before-trim");
        await this.retention.add(request.partition, request.below);
        this.faultPoint("blob.before-delete");
        for (const sha256 of request.blobs) await this.storage.blobs.delete(sha256);
        this.faultPoint("blob.after-delete");
        this.watcher.checkpointed();
        return undefined;
    }
  }

  private async store(content: Uint8Array): Promise<string> {
    for (;;) {
      try {
        return await this.storage.blobs.put(content);
      } catch (error) {
        const isFull = error instanceof CaxtonError && error.code === "STORAGE_FULL";
        if (!isFull || this.stopped) throw error;
      }
      await wait(RETRY_MS, undefined, { ref: false });
    }
  }

  stop(): void {
    this.stopped = true;
    this.retention.stop();
  }

  async removeOrphans(named: readonly string[]): Promise<void> {
    const keep = new Set(named);
    const orphans = (await this.storage.blobs.list()).filter((sha256) => !keep.has(sha256));
    for (const sha256 of orphans) await this.storage.blobs.delete(sha256);
    if (orphans.length > 0) this.log.info({ blobs: orphans.length }, "blobs nobody names removed");
  }
}
