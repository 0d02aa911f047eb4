import { Worker } from "node:worker_threads";
import { GUEST_STACK_MEGABYTES } from "../rewrite/bounds.ts";
import type { SandboxObservation, SandboxRequest } from "./sandbox-protocol.ts";

const ENTRY = new URL("./sandbox-worker.ts", import.meta.url);

/** The module's own memory comes on top and is capped by its limits. */
const HEAP_MEGABYTES_MAX = 128;
/** For starting the thread and compiling; each step of the run has its own limit. */
const OVERHEAD_MS_MAX = 10_000;
const LIMITED_STEPS = 4;

/** Runs the module in a thread that is thrown away. Never throws on account of the module. */
export async function runSandbox(
  request: SandboxRequest,
  hardLimitMs = OVERHEAD_MS_MAX + LIMITED_STEPS * request.timeoutMs,
): Promise<SandboxObservation> {
  const worker = new Worker(ENTRY, {
    workerData: request,
    env: {},
    resourceLimits: {
      maxOldGenerationSizeMb: HEAP_MEGABYTES_MAX,
      stackSizeMb: GUEST_STACK_MEGABYTES,
    },
  });
  try {
    return await observe(worker, hardLimitMs);
  } finally {
    // Not awaited: a thread inside the compiler ends when it comes out of it.
    void worker.terminate();
  }
}

function observe(worker: Worker, timeoutMs: number): Promise<SandboxObservation> {
  return new Promise((resolve) => {
    const fail = (reason: string): void =>
      resolve({
        failure: {
          step: "thread",
          reason,
          hint: "Make the module smaller or simpler; the server gave it a thread of its own.",
        },
      });
    const timer = setTimeout(
      () => fail(`the thread did not answer within ${timeoutMs} ms`),
      timeoutMs,
    );
    worker.once("message", resolve);
    worker.once("error", (error) => fail(`the thread failed: ${String(error)}`));
    worker.once("exit", (code) => {
      clearTimeout(timer);
      fail(`the thread ended with ${code} before it answered`);
    });
  });
}
