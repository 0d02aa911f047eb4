/** Tells a nats-server that hangs from one that is slow. */
import { setTimeout as delay } from "node:timers/promises";
import type { NatsProcess } from "./nats-process.ts";

export type Watched = Pick<NatsProcess, "answers" | "hasEnded">;

const PAUSE_MS = 1000;
/** One alone proves nothing: this process may have been the one that stood still. */
const SILENT_TRIES = 3;

/** Resolves with true when it has not answered for so long, with false when it has ended. */
export async function hangs(process: Watched, silentMsMax: number): Promise<boolean> {
  const tryMs = silentMsMax / SILENT_TRIES;
  let silent = 0;
  while (!process.hasEnded && silent < SILENT_TRIES) {
    silent = (await process.answers(tryMs)) ? 0 : silent + 1;
    if (silent === 0) await delay(Math.min(PAUSE_MS, tryMs), undefined, { ref: false });
  }
  return !process.hasEnded;
}
