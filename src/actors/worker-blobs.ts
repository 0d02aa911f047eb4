/**
 * Blobs on behalf of workers, and the trimming of their logs.
 *
 * 1. A blob is answered for when it is durable; while there is no room it waits.
 * 2. At the start blobs that nobody names go, since a crash left them behind: after the node has made the logs
 *    its own, for until then another node may be about to name them, and never one that was stored since.
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
  /** Hashes of what was stored while there may be orphans. */
  private storedAtStart: Set<string> | undefined = new Set();

  constructor(
    /** A patient one. */
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
        const sha256 = await this.storage.blobs.put(content);
        this.storedAtStart?.add(sha256);
        return sha256;
      } catch (error) {
        const isFull = error instanceof CaxtonError && error.code === "STORAGE_FULL";
        if (!isFull || this.stopped) throw error;
      }
      await wait(RETRY_MS, undefined, { ref: false });
    }
  }

  /** What the newest checkpoints made needless can go, though a restart has forgotten that it was asked for. */
  async recovered(partitions: readonly { partition: number; logFloor: number }[]): Promise<void> {
    for (const { partition, logFloor } of partitions) {
      if (logFloor > 1) await this.retention.add(partition, logFloor);
    }
  }

  /** There is no room: nothing is kept that need not be. */
  reclaim(): void {
    // A failed log says so by itself.
    this.retention.release().catch(() => undefined);
  }

  stop(): void {
    this.stopped = true;
    this.retention.stop();
  }

  /** Blobs that nobody names. */
  async orphans(named: readonly string[]): Promise<string[]> {
    const keep = new Set(named);
    return (await this.storage.blobs.list()).filter((sha256) => !keep.has(sha256));
  }

  async remove(orphans: readonly string[]): Promise<void> {
    for (const sha256 of orphans) {
      if (this.storedAtStart?.has(sha256) === true) continue;
      await this.storage.blobs.delete(sha256);
    }
    this.storedAtStart = undefined;
    if (orphans.length > 0) this.log.info({ blobs: orphans.length }, "blobs nobody names removed");
  }
}
