/**
 * Which core runs what: the server under test has the first one to itself, everything else the second. Where a scenario
 * gives the server more, what drives it shares the second with it.
 */
import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";

const OBSERVER_CORE = 1;

export const allCores = availableParallelism();

export const canPin = allCores > 1 && spawnSync("taskset", ["--version"]).status === 0;

/** The command line that runs `command` on the first cores alone, where the system can do that. */
export function onServerCores(command: readonly string[], cores = 1): readonly string[] {
  return canPin ? ["taskset", "--cpu-list", `0-${cores - 1}`, ...command] : command;
}

/** Moves this process off the server's core. */
export function moveToObserverCore(): void {
  if (!canPin) return;
  const options = ["--all-tasks", "--cpu-list", "--pid", String(OBSERVER_CORE)];
  spawnSync("taskset", [...options, String(process.pid)]);
}
