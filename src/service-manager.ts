/**
 * Tells systemd how the process is. Node can't write to its socket, which is one for datagrams, so its own
 * systemd-notify does; elsewhere than under systemd nothing happens.
 */
import { execFile } from "node:child_process";
import type { Logger } from "./base/log.ts";

export type ServiceState = "READY=1" | "STOPPING=1" | "RELOADING=1";

export async function notifyServiceManager(state: ServiceState, log: Logger): Promise<void> {
  if (process.env["NOTIFY_SOCKET"] === undefined) return;
  const args = state === "RELOADING=1" ? [state, monotonicTime()] : [state];
  await new Promise<void>((resolve) => {
    execFile("systemd-notify", args, (error) => {
      if (error !== null) log.warn({ err: error, state }, "systemd could not be told");
      resolve();
    });
  });
}

/** systemd wants to know since when it holds. */
function monotonicTime(): string {
  return `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`;
}
