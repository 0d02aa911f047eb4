/** Entry of a worker thread: connects a shard to its port. */
import { parentPort, workerData } from "node:worker_threads";
import { invariant } from "../base/assert.ts";
import { systemClock } from "../base/clock.ts";
import { CaxtonError, ensureError } from "../base/errors.ts";
import { systemScheduler } from "../base/scheduler.ts";
import { randomInt } from "node:crypto";
import { Shard } from "./shard.ts";
import { WasmExecutor } from "./wasm/wasm-executor.ts";
import type { FromWorker, ToWorker, WorkerStart } from "./worker-protocol.ts";

invariant(parentPort !== null, "this file runs in a worker thread");
const port = parentPort;
const start = workerData as WorkerStart;

const shard = new Shard(start, {
  clock: systemClock,
  scheduler: systemScheduler,
  seed: randomInt(0x100000000),
  post: (message: FromWorker, transfer) => {
    port.postMessage(message, [...transfer]);
  },
  createExecutor: (batch, source) =>
    new WasmExecutor(batch, systemClock, source, {
      askChainMax: start.limits.askChainMax,
      residentsMax: start.residentsMax,
    }),
});

port.on("message", (message: ToWorker) => {
  try {
    shard.handle(message);
  } catch (thrown) {
    const error = ensureError(thrown);
    const code = error instanceof CaxtonError ? error.code : "INTERNAL";
    const reason = code === "INTERNAL" ? (error.stack ?? error.message) : error.message;
    port.postMessage({ kind: "failed", code, reason } satisfies FromWorker);
  }
});
