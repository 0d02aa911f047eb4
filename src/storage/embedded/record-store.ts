/**
 * Records in one SQLite table. Owns `records.db`.
 *
 * 1. A deleted key leaves its revision behind: a writer that still holds an old revision conflicts,
 *    also after the key was created anew.
 * 2. Every write is checkpointed at once, so the write-ahead log never holds more than one write:
 *    SQLite drops everything after a damaged page of that log, silently.
 * 3. Every row carries a CRC of all of it; opening verifies all rows.
 */
import { crc32 } from "node:zlib";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { CaxtonError, ensureError } from "../../base/errors.ts";
import type { Records, RecordWrite, StoredRecord } from "../port.ts";
import type { WriteGate } from "../write-gate.ts";

interface Row {
  readonly key: Uint8Array;
  /** Null: deleted. */
  readonly value: Uint8Array | null;
  readonly revision: number;
  readonly crc: number;
}

const SQLITE_FULL = 13;
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS records (
    key BLOB PRIMARY KEY, value BLOB, revision INTEGER NOT NULL, crc INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID`;

export class RecordStore implements Records {
  readonly #path: string;
  readonly #database: DatabaseSync;
  readonly #select: StatementSync;
  readonly #range: StatementSync;
  readonly #upsert: StatementSync;
  readonly #gate: WriteGate;
  readonly #faultPoint: (name: string) => void;
  readonly #watchers = new Set<{ prefix: string; changed: (key: string) => void }>();

  constructor(path: string, gate: WriteGate, faultPoint: (name: string) => void) {
    this.#path = path;
    this.#gate = gate;
    this.#faultPoint = faultPoint;
    this.#database = new DatabaseSync(path);
    try {
      this.#database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
      this.#database.exec("PRAGMA wal_autocheckpoint = 1");
      this.#database.exec(SCHEMA);
      this.#select = this.#database.prepare("SELECT * FROM records WHERE key = ?");
      this.#range = this.#database.prepare(
        "SELECT * FROM records WHERE key >= ? AND (? IS NULL OR key < ?) ORDER BY key",
      );
      this.#upsert = this.#database.prepare(
        "INSERT INTO records (key, value, revision, crc) VALUES (?, ?, ?, ?) ON CONFLICT (key) " +
          "DO UPDATE SET value = excluded.value, revision = excluded.revision, crc = excluded.crc",
      );
      this.#verify();
    } catch (error) {
      this.#database.close();
      throw error instanceof CaxtonError ? error : damaged(path, ensureError(error).message, error);
    }
  }

  get(key: string): Promise<StoredRecord | undefined> {
    return settle(() => {
      const row = this.#row(key);
      return row?.value ? toRecord(row, row.value) : undefined;
    });
  }

  put(key: string, value: Uint8Array, expectedRevision: number | null): Promise<RecordWrite> {
    return settle(() => this.#write(key, value, expectedRevision));
  }

  delete(key: string, expectedRevision: number | null): Promise<RecordWrite> {
    return settle(() => this.#write(key, null, expectedRevision));
  }

  list(prefix: string): Promise<StoredRecord[]> {
    return settle(() => {
      const from = Buffer.from(prefix);
      const to = afterPrefix(from);
      const rows = this.#range.all(from, to, to) as unknown as Row[];
      return rows.flatMap((row) => (row.value === null ? [] : [toRecord(row, row.value)]));
    });
  }

  watch(prefix: string, changed: (key: string) => void): () => void {
    const watcher = { prefix, changed };
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** Nothing was ever written. */
  isEmpty(): boolean {
    return this.#database.prepare("SELECT 1 FROM records LIMIT 1").get() === undefined;
  }

  close(): void {
    this.#watchers.clear();
    this.#database.close();
  }

  #row(key: string): Row | undefined {
    const row = this.#select.get(Buffer.from(key)) as unknown as Row | undefined;
    if (row !== undefined && rowCrc(row) !== row.crc) throw damaged(this.#path, `record ${key}`);
    return row;
  }

  #write(key: string, value: Uint8Array | null, expectedRevision: number | null): RecordWrite {
    this.#gate.check();
    const row = this.#row(key);
    const revision = row?.value ? row.revision : 0;
    if (expectedRevision !== null && expectedRevision !== revision) {
      return { kind: "conflict", revision };
    }
    if (value === null && revision === 0) return { kind: "written", revision: 0 };
    const next = { key: Buffer.from(key), value, revision: (row?.revision ?? 0) + 1 };
    this.#faultPoint("records.before-put");
    try {
      this.#upsert.run(next.key, next.value, next.revision, rowCrc(next));
    } catch (cause) {
      if (isFull(cause)) throw new CaxtonError("STORAGE_FULL", undefined, { cause });
      throw this.#gate.fail(cause);
    }
    this.#faultPoint("records.after-put");
    for (const watcher of this.#watchers) {
      if (key.startsWith(watcher.prefix)) queueMicrotask(() => watcher.changed(key));
    }
    return { kind: "written", revision: next.revision };
  }

  #verify(): void {
    const check = this.#database.prepare("PRAGMA quick_check(1)").get() as { quick_check?: string };
    if (check.quick_check !== "ok") throw damaged(this.#path, String(check.quick_check));
    for (const row of this.#database.prepare("SELECT * FROM records").iterate()) {
      const { key, value, revision, crc } = row as unknown as Row;
      if (rowCrc({ key, value, revision }) !== crc) {
        throw damaged(this.#path, `record ${Buffer.from(key).toString()}`);
      }
    }
  }
}

function rowCrc(row: Omit<Row, "crc">): number {
  const head = crc32(`${row.key.length} ${row.revision} ${row.value?.length ?? "deleted"} `);
  return crc32(row.value ?? "", crc32(row.key, head));
}

function toRecord(row: Row, value: Uint8Array): StoredRecord {
  return { key: Buffer.from(row.key).toString(), value, revision: row.revision };
}

/** The first key after all that begin with the prefix; null when there is none. */
function afterPrefix(prefix: Buffer): Buffer | null {
  const last = prefix.at(-1);
  if (last === undefined) return null;
  // UTF-8 has no byte 0xff, so there is always a next one.
  return Buffer.concat([prefix.subarray(0, -1), Buffer.from([last + 1])]);
}

function damaged(path: string, what: string, cause?: unknown): CaxtonError {
  return new CaxtonError("STORAGE_CORRUPT", `${path} is damaged: ${what}.`, { cause });
}

function isFull(error: unknown): boolean {
  return error instanceof Error && "errcode" in error && error.errcode === SQLITE_FULL;
}

/** SQLite answers at once; the port promises. */
async function settle<T>(work: () => T): Promise<T> {
  return work();
}
