/** Memory of a process that has come to rest. */
import { setTimeout as wait } from "node:timers/promises";
import type { ServerProcess } from "./server-process.ts";

const POLL_MS = 250;
/** So many readings in a row that differ by no more than the share. */
const READINGS = 8;
const SHARE = 0.005;
const TIMEOUT_MS = 120_000;

export async function settledRssMb(server: ServerProcess): Promise<number> {
  const readings: number[] = [];
  for (const giveUpAtMs = Date.now() + TIMEOUT_MS; Date.now() < giveUpAtMs;) {
    readings.push(server.rssMb());
    const last = readings.slice(-READINGS);
    const most = Math.max(...last);
    if (last.length === READINGS && most - Math.min(...last) <= most * SHARE) return last.at(-1)!;
    await wait(POLL_MS);
  }
  throw new Error("the server's memory does not settle");
}
