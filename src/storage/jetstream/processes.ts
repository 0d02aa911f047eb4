/** Processes that this one did not start, or no longer has a hold on: by pid and what they were started as. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
const POLL_MS = 20;

/**
 * Whether the process runs and was started with that argument. A pid alone proves nothing: the system gives it to
 * others.
 */
export async function isRunningWith(pid: number, argument: string): Promise<boolean> {
  const words = await argumentsOf(pid);
  return words.includes(argument);
}

async function argumentsOf(pid: number): Promise<readonly string[]> {
  if (process.platform === "linux") {
    // One that has ended and was not waited for yet has an empty command line.
    const text = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    return text.split("\0");
  }
  const { stdout } = await run("ps", ["-o", "args=", "-p", `${pid}`]).catch(() => ({ stdout: "" }));
  // Words can't be told apart where paths have spaces; the argument is the last.
  const line = stdout.trim();
  return line === "" ? [] : [line.slice(line.indexOf(" -c ") + 4)];
}

/** Ends it: asked first, forced when that takes too long. Resolves when it is gone. */
export async function endProcess(pid: number, argument: string, graceMs: number): Promise<void> {
  const forcedFrom = performance.now() + graceMs;
  let isForced = false;
  signal(pid, "SIGTERM");
  // One that is paused takes nothing but SIGKILL.
  signal(pid, "SIGCONT");
  while (await isRunningWith(pid, argument)) {
    if (!isForced && performance.now() > forcedFrom) {
      signal(pid, "SIGKILL");
      isForced = true;
    }
    await delay(POLL_MS);
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has just ended.
  }
}
