/**
 * One process per data directory. The lock is an exclusive SQLite transaction that is never
 * finished: the system drops it with the process, however that ends, and no pid can go stale.
 */
import { DatabaseSync } from "node:sqlite";
import { CaxtonError } from "../../base/errors.ts";

const SQLITE_BUSY = 5;

/** Returns the function that lets go. */
export function lockDirectory(directory: string): () => void {
  const path = `${directory}/lock.db`;
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { timeout: 0 });
    // In memory: nothing is ever written, and no journal file is left behind.
    database.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
  } catch (cause) {
    database?.close();
    if (cause instanceof Error && "errcode" in cause && cause.errcode === SQLITE_BUSY) {
      throw new CaxtonError("STORAGE_LOCKED", `${directory} is in use by another server.`, {
        cause,
      });
    }
    throw new CaxtonError("STORAGE_CORRUPT", `${path} can't be locked: ${String(cause)}.`, {
      cause,
    });
  }
  const held = database;
  return () => held.close();
}
