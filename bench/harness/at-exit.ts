/**
 * What has to go when this program ends, however that comes about: servers it started and their data.
 *
 * Owns what is still to be done then.
 */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";

const undone = new Set<() => void>();

process.once("exit", () => {
  // The newest first: data go after the servers that write them.
  for (const undo of [...undone].reverse()) undo();
});

/** Without this a signal ends the program and nothing is done. */
export function exitOnSignals(): void {
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
}

/** Returns what takes it back. */
export function atExit(undo: () => void): () => void {
  undone.add(undo);
  return () => undone.delete(undo);
}

/** Kills it then; resolves when it has ended before. */
export async function endsWithUs(child: ChildProcess): Promise<void> {
  const isOver = atExit(() => child.kill("SIGKILL"));
  await once(child, "close");
  isOver();
}
