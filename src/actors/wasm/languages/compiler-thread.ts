/**
 * Owns the thread the AssemblyScript compiler runs on.
 * 1. There is at most one thread and it has at most one job: others wait in order.
 * 2. A warm compiler is several times as fast as a cold one, so the thread stays for a while after a job;
 *    it never keeps the process alive.
 * 3. A job that takes too long, or crashes, ends the thread.
 */
import { Worker } from "node:worker_threads";
import { ensureError } from "../../../base/errors.ts";
import type { CompileInput, CompileResult } from "./assemblyscript.ts";

const COMPILER = new URL("./assemblyscript-compiler.ts", import.meta.url);
const COMPILE_TIMEOUT_MS = 60_000;
const IDLE_MS = 10_000;
const HEAP_MIB_MAX = 1024;

type JobEnd = { readonly result: CompileResult } | { readonly crash: string };

interface Thread {
  readonly worker: Worker;
  endJob: (end: JobEnd) => void;
}

let lastJob: Promise<unknown> = Promise.resolve();
let thread: Thread | undefined;
let idleTimer: NodeJS.Timeout | undefined;

export function compileOnThread(input: CompileInput): Promise<CompileResult> {
  const job = lastJob.then(() => runJob(input));
  lastJob = job;
  return job;
}

function startThread(): Thread {
  const worker = new Worker(COMPILER, {
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB_MAX },
    // When the compiler crashes it prints a report of its own.
    stdout: true,
    stderr: true,
  });
  const started: Thread = { worker, endJob: () => undefined };
  worker.on("message", (result: CompileResult) => started.endJob({ result }));
  worker.on("error", (thrown) => started.endJob({ crash: ensureError(thrown).message }));
  worker.on("exit", () => {
    if (thread === started) thread = undefined;
    started.endJob({ crash: "the compiler crashed on this source" });
  });
  return started;
}

function endThread(): void {
  void thread?.worker.terminate();
  thread = undefined;
}

async function runJob(input: CompileInput): Promise<CompileResult> {
  clearTimeout(idleTimer);
  const { worker } = (thread ??= startThread());
  const current = thread;
  worker.ref();
  const timeout = setTimeout(() => {
    current.endJob({ crash: `compiling took longer than ${COMPILE_TIMEOUT_MS} ms` });
  }, COMPILE_TIMEOUT_MS);
  const end = await new Promise<JobEnd>((resolve) => {
    current.endJob = resolve;
    worker.postMessage(input);
  });
  clearTimeout(timeout);
  if ("crash" in end) {
    endThread();
    return { kind: "failed", findings: [{ at: input.entry, message: end.crash }] };
  }
  worker.unref();
  idleTimer = setTimeout(endThread, IDLE_MS).unref();
  return end.result;
}
