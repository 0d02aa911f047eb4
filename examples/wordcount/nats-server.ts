/** The nats-server of the demonstration's node: where the program is, and how to end it without farewell. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { NodePlace } from "./node-process.ts";

const SCRIPT = join(import.meta.dirname, "../../scripts/nats-server.sh");

/** Fetches it where the machine has none; says on standard error what it does. */
export function natsServerPath(): string {
  const { status, stdout } = spawnSync("sh", [SCRIPT], {
    stdio: ["ignore", "pipe", "inherit"],
    encoding: "utf8",
  });
  if (status !== 0) throw new Error("there is no nats-server to start");
  return stdout.trim();
}

/** Kills the nats-server of a node and returns its process id. The node starts another one. */
export function killNatsServer({ folder }: NodePlace): number {
  const pid = Number(readFileSync(join(folder, "data/nats/nats-server.pid"), "utf8"));
  process.kill(pid, "SIGKILL");
  return pid;
}
