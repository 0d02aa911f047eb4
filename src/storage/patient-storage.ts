/**
 * A storage that waits for its servers, for those who can't do anything else: the kernel's reads, its blobs and
 * the trimming of its logs are tried until the servers answer, or nobody waits any more.
 *
 * Appends are not: whoever appends decides after each. Records are not: whoever asks for one is told.
 */
import { setTimeout as wait } from "node:timers/promises";
import { CaxtonError } from "../base/errors.ts";
import type { Blobs, Log, LogRecord, Storage } from "./port.ts";

const RETRY_MS_MIN = 20;
const RETRY_MS_MAX = 1000;

export function patientStorage(storage: Storage, isOver: () => boolean): Storage {
  const patience = new Patience(isOver);
  return {
    engine: storage.engine,
    durability: storage.durability,
    opening: storage.opening,
    records: storage.records,
    log: patientLog(storage.log, patience),
    blobs: patientBlobs(storage.blobs, patience),
    close: () => storage.close(),
  };
}

class Patience {
  readonly #isOver: () => boolean;

  constructor(isOver: () => boolean) {
    this.#isOver = isOver;
  }

  async until<T>(work: () => Promise<T>): Promise<T> {
    for (let waitMs = RETRY_MS_MIN; ; waitMs = Math.min(waitMs * 2, RETRY_MS_MAX)) {
      try {
        return await work();
      } catch (error) {
        if (!this.isWorthIt(error)) throw error;
      }
      await wait(waitMs, undefined, { ref: false });
    }
  }

  isWorthIt(error: unknown): boolean {
    return !this.#isOver() && error instanceof CaxtonError && error.code === "STORAGE_UNAVAILABLE";
  }
}

function patientLog(log: Log, patience: Patience): Log {
  return {
    frameBytesMax: log.frameBytesMax,
    append: (partition, expectedSequence, frame, epoch, room) =>
      log.append(partition, expectedSequence, frame, epoch, room),
    beginAt: (partition, firstSequence) => log.beginAt(partition, firstSequence),
    lastSequence: (partition) => patience.until(() => log.lastSequence(partition)),
    // The first try is made now: it ends at what is newest now.
    scan: (partition, from) => scanOn(log, patience, partition, from, log.scan(partition, from)),
    readRanges: (partition, ranges) => patience.until(() => log.readRanges(partition, ranges)),
    trim: (partition, below) => patience.until(() => log.trim(partition, below)),
    usage: () => log.usage(),
  };
}

async function* scanOn(
  log: Log,
  patience: Patience,
  partition: number,
  from: number,
  first: AsyncIterable<LogRecord>,
): AsyncGenerator<LogRecord> {
  let scan = first;
  let next = from;
  for (let waitMs = RETRY_MS_MIN; ; waitMs = Math.min(waitMs * 2, RETRY_MS_MAX)) {
    try {
      for await (const record of scan) {
        yield record;
        next = record.sequence + 1;
        waitMs = RETRY_MS_MIN;
      }
      return;
    } catch (error) {
      if (!patience.isWorthIt(error)) throw error;
    }
    await wait(waitMs, undefined, { ref: false });
    scan = log.scan(partition, next);
  }
}

function patientBlobs(blobs: Blobs, patience: Patience): Blobs {
  return {
    put: (content) => patience.until(() => blobs.put(content)),
    get: (sha256) => patience.until(() => blobs.get(sha256)),
    readRange: (sha256, offset, length) =>
      patience.until(() => blobs.readRange(sha256, offset, length)),
    has: (sha256) => patience.until(() => blobs.has(sha256)),
    list: () => patience.until(() => blobs.list()),
    delete: (sha256) => patience.until(() => blobs.delete(sha256)),
  };
}
