/** Runs the bare loop (bench/hot-loop) in a process of its own, on the server's core. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { LOG_BYTES } from "../hot-loop/protocol.ts";
import { preallocate } from "./disk.ts";
import { onServerCores } from "./pinning.ts";

const MAIN = join(import.meta.dirname, "../hot-loop/main.ts");

export interface HotLoopFigures {
  readonly messages_per_second: number;
  readonly cpu_us_per_message: number;
}

export async function runHotLoop(
  durability: "durable" | "ephemeral",
  seconds: number,
  directory: string,
): Promise<HotLoopFigures> {
  const path = join(directory, "hot-loop.log");
  if (durability === "durable") preallocate(path, LOG_BYTES);
  const node = [process.execPath, "--disable-wasm-trap-handler", "--no-warnings"];
  const [command, ...args] = onServerCores([...node, MAIN, durability, String(seconds), path]);
  const { stdout } = await promisify(execFile)(command!, args);
  return JSON.parse(stdout) as HotLoopFigures;
}
