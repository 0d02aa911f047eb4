/** What this machine gives at most: the parts every other figure is made of, each alone. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { HOST_EXPORT } from "../../src/actors/wasm/rewrite/host-exports.ts";
import { rewriteModule } from "../../src/actors/wasm/rewrite/rewriter.ts";
import { AppendFile } from "../harness/disk.ts";
import { withEcho } from "../harness/echo-process.ts";
import { runHotLoop } from "../harness/hot-loop.ts";
import { percentile } from "../harness/percentile.ts";
import type { Report } from "../harness/report.ts";
import type { ScenarioOptions } from "./options.ts";

const APPEND_FILE_BYTES = 128 * 1024 * 1024;
const PARTS = 6;
const CALLS_BETWEEN_LOOKS = 1000;
const MESSAGE = Buffer.alloc(256, 7);
const FUEL = 100_000_000n;

export async function limits(
  options: ScenarioOptions,
): Promise<Pick<Report, "figures" | "ratios">> {
  const { directory, say } = options;
  const seconds = options.seconds / PARTS;
  say("appends");
  const small = appendsPerSecond(directory, 16 * 1024, seconds);
  const large = appendsPerSecond(directory, 256 * 1024, seconds);
  say("WebAssembly calls");
  const calls = await callsPerSecond(seconds);
  say("bare gRPC");
  const echoes = await echoMs(seconds);
  say("the bare loop");
  const durable = await runHotLoop("durable", seconds, directory);
  const ephemeral = await runHotLoop("ephemeral", seconds, directory);
  const figures = {
    append_16kb_per_second: small,
    append_256kb_per_second: large,
    append_256kb_mb_per_second: large / 4,
    wasm_calls_per_second: calls,
    echo_p50_ms: percentile(echoes, 0.5),
    echo_p99_ms: percentile(echoes, 0.99),
    hot_loop_durable_messages_per_second: durable.messages_per_second,
    hot_loop_durable_cpu_us_per_message: durable.cpu_us_per_message,
    hot_loop_ephemeral_messages_per_second: ephemeral.messages_per_second,
    hot_loop_ephemeral_cpu_us_per_message: ephemeral.cpu_us_per_message,
  };
  return { figures, ratios: {} };
}

function appendsPerSecond(directory: string, bytes: number, seconds: number): number {
  const file = new AppendFile(join(directory, "appends"), APPEND_FILE_BYTES);
  const content = Buffer.alloc(bytes, 1);
  const start = performance.now();
  let appends = 0;
  for (; performance.now() - start < seconds * 1000; appends++) file.append(content);
  const elapsedMs = performance.now() - start;
  file.close();
  return appends / (elapsedMs / 1000);
}

/** Calls of the bare loop's agent, as they run in a server: fuel set, 256 bytes in, 256 bytes out. */
async function callsPerSecond(seconds: number): Promise<number> {
  const original = await readFile(join(import.meta.dirname, "../hot-loop/agent.wasm"));
  const bounds = { memoryPagesMax: 16, tableElementsMax: 1000, callDepthMax: 1000 };
  const { bytes } = rewriteModule(original, bounds);
  const out = Buffer.alloc(MESSAGE.length);
  const send = (_to: number, at: number, length: number): void => {
    out.set(memory.subarray(at, at + length));
  };
  const imports = { caxton: { send } } as unknown as WebAssembly.Imports;
  const module = new WebAssembly.Module(Uint8Array.from(bytes));
  const { exports } = new WebAssembly.Instance(module, imports);
  const memory = new Uint8Array((exports[HOST_EXPORT.memory] as WebAssembly.Memory).buffer);
  const begin = exports[HOST_EXPORT.begin] as (fuel: bigint) => void;
  const handle = exports["caxton_handle"] as (at: number, bytes: number) => number;
  begin(FUEL);
  const at = (exports["caxton_alloc"] as (bytes: number) => number)(MESSAGE.length);
  const start = performance.now();
  let calls = 0;
  while (performance.now() - start < seconds * 1000) {
    for (let i = 0; i < CALLS_BETWEEN_LOOKS; i++) {
      memory.set(MESSAGE, at);
      begin(FUEL);
      handle(at, MESSAGE.length);
    }
    calls += CALLS_BETWEEN_LOOKS;
  }
  return calls / ((performance.now() - start) / 1000);
}

function echoMs(seconds: number): Promise<number[]> {
  return withEcho(async (echo) => {
    const samples: number[] = [];
    for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
      const start = performance.now();
      await echo(MESSAGE);
      samples.push(performance.now() - start);
    }
    return samples;
  });
}
