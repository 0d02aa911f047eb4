import type { FuzzReport } from "./api-fuzzer.ts";

/** Beyond what a heap breathes. */
const GROWTH_MB_MAX = 100;

/** What a server must not do, whatever it is sent. */
export function faultsOf({ internal, logged, cutOff, warmMb, endMb, works }: FuzzReport): string[] {
  const faults: string[] = [];
  if (!works) faults.push("the server does not answer as before");
  if (internal > logged)
    faults.push(`${internal} failures, of which ${logged} have a logged cause`);
  if (cutOff > 0) faults.push(`${cutOff} calls on a connection that was closed without need`);
  if (endMb - warmMb > GROWTH_MB_MAX)
    faults.push(`memory grew by ${(endMb - warmMb).toFixed(0)} MB`);
  return faults;
}
