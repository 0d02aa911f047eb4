/** Which core runs what: the server under test has one to itself, everything else the other. */
import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";

const SERVER_CORE = 0;
const OBSERVER_CORE = 1;

export const canPin =
  availableParallelism() > 1 && spawnSync("taskset", ["--version"]).status === 0;

/** The command line that runs `command` on the server's core alone, where the system can do that. */
export function onServerCore(command: readonly string[]): readonly string[] {
  return canPin ? ["taskset", "--cpu-list", String(SERVER_CORE), ...command] : command;
}

/** Moves this process off the server's core. */
export function moveToObserverCore(): void {
  if (!canPin) return;
  const options = ["--all-tasks", "--cpu-list", "--pid", String(OBSERVER_CORE)];
  spawnSync("taskset", [...options, String(process.pid)]);
}
