/**
 * The time limit of guest code. Its end can't be caught inside and skips finally: what runs under it has to be
 * judged from outside by what it got to.
 */
import { Script } from "node:vm";
import { ensureError } from "../../base/errors.ts";

const ENTRY = "__caxtonRunGuest";
const script = new Script(`globalThis.${ENTRY}()`);

/** True when the time limit ended the guest. */
export function runLimited(timeoutMs: number, guest: () => void): boolean {
  (globalThis as Record<string, unknown>)[ENTRY] = guest;
  try {
    script.runInThisContext({ timeout: timeoutMs });
    return false;
  } catch (thrown) {
    const error = ensureError(thrown) as NodeJS.ErrnoException;
    if (error.code === "ERR_SCRIPT_EXECUTION_TIMEOUT") return true;
    throw error;
  }
}
