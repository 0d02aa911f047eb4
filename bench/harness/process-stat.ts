/** What the system knows of a process. Linux only: NaN elsewhere. */
import { readFileSync } from "node:fs";

/** Clock ticks of /proc per second; the same on every Linux. */
const TICKS_PER_SECOND = 100;

/** Processor time all its threads have used, user and system. */
export function cpuSecondsOf(pid: number): number {
  return cpuSecondsIn(`/proc/${pid}/stat`);
}

/** Of its first thread alone. */
export function mainThreadCpuSecondsOf(pid: number): number {
  return cpuSecondsIn(`/proc/${pid}/task/${pid}/stat`);
}

function cpuSecondsIn(path: string): number {
  if (process.platform !== "linux") return NaN;
  const fields = readFileSync(path, "latin1");
  // The name in brackets may hold spaces.
  const [user, system] = fields
    .slice(fields.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 13);
  return (Number(user) + Number(system)) / TICKS_PER_SECOND;
}
