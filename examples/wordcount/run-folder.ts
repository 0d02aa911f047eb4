/**
 * The folder of one run: `.caxton/wordcount-<pid>` in the repository. It goes with the run; what a run that
 * was killed left behind goes with the next one.
 */
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";

const PARENT = join(import.meta.dirname, "../../.caxton");
const PREFIX = "wordcount-";

export function makeRunFolder(): string {
  mkdirSync(PARENT, { recursive: true });
  for (const name of readdirSync(PARENT)) {
    const pid = name.startsWith(PREFIX) ? Number(name.slice(PREFIX.length)) : NaN;
    if (pid === process.pid || (pid > 0 && !isAlive(pid))) removeFolder(join(PARENT, name));
  }
  const folder = join(PARENT, `${PREFIX}${String(process.pid)}`);
  mkdirSync(folder);
  return folder;
}

/** A node that is just ending may still write there; then the next run removes it. */
export function removeFolder(folder: string): void {
  try {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  } catch {
    return;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
