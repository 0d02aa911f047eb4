/**
 * Entry of the throw-away thread that runs a new module for the first time: with fuel, under a time limit,
 * without any effect. Main ends the thread when it does not answer.
 */
import { Script } from "node:vm";
import { parentPort, workerData } from "node:worker_threads";
import { invariant } from "../../../base/assert.ts";
import { ensureError } from "../../../base/errors.ts";
import { HOST_EXPORT } from "../rewrite/host-exports.ts";
import { sandboxHost } from "./sandbox-imports.ts";
import {
  SANDBOX_ALLOC_BYTES,
  type SandboxFailure,
  type SandboxObservation,
  type SandboxRequest,
  type SandboxStep,
} from "./sandbox-protocol.ts";

const ENTRY = "__caxtonSandboxStep";
const script = new Script(`globalThis.${ENTRY}()`);

type Numeric = (...args: number[]) => number;

class StepFailed extends Error {
  readonly failure: SandboxFailure;

  constructor(failure: SandboxFailure) {
    super(failure.reason);
    this.failure = failure;
  }
}

function run(request: SandboxRequest): SandboxObservation {
  let seen: SandboxObservation = {};
  try {
    const module = step(request, "compile", undefined, () => new WebAssembly.Module(request.bytes));
    const host = sandboxHost();
    const { exports } = step(
      request,
      "instantiate",
      undefined,
      () => new WebAssembly.Instance(module, host.imports),
    );
    const memory = exports[HOST_EXPORT.memory] as WebAssembly.Memory;
    host.attach(guestMemory(memory));
    const fuelLeft = exports[HOST_EXPORT.fuel] as Numeric;
    step(request, "initialize", exports, () => call(exports, HOST_EXPORT.initialize, request.fuel));
    seen = { ...seen, fuelInitialize: request.fuel - fuelLeft() };
    begin(exports, request.fuel);
    const alloc = exports["caxton_alloc"] as Numeric;
    const allocated = step(request, "alloc", exports, () => alloc(SANDBOX_ALLOC_BYTES) >>> 0);
    seen = { ...seen, allocated };
    const health = exports["caxton_health"] as Numeric | undefined;
    if (health !== undefined) {
      begin(exports, request.fuel);
      seen = { ...seen, health: step(request, "health", exports, () => health()) };
    }
    return { ...seen, memoryBytes: memory.buffer.byteLength };
  } catch (error) {
    if (error instanceof StepFailed) return { ...seen, failure: error.failure };
    throw error;
  }
}

/** One thing done with the module, under the time limit. */
function step<T>(
  request: SandboxRequest,
  name: SandboxStep,
  exports: WebAssembly.Exports | undefined,
  work: () => T,
): T {
  try {
    Reflect.set(globalThis, ENTRY, work);
    return script.runInThisContext({ timeout: request.timeoutMs }) as T;
  } catch (error) {
    throw new StepFailed({ step: name, ...explain(ensureError(error), request, exports) });
  }
}

function explain(
  error: Error,
  request: SandboxRequest,
  exports: WebAssembly.Exports | undefined,
): Omit<SandboxFailure, "step"> {
  if ("code" in error && error.code === "ERR_SCRIPT_EXECUTION_TIMEOUT") {
    return {
      reason: `it ran longer than limits.turnTimeoutMs (${request.timeoutMs} ms)`,
      hint: "Do less before the first message, or raise limits.turnTimeoutMs in the manifest.",
    };
  }
  const read = (name: string): number =>
    exports === undefined ? 0 : (exports[name] as () => number)();
  if (read(HOST_EXPORT.fuel) < 0) {
    return {
      reason: `it used all its fuel (limits.fuelPerMessage is ${request.fuel})`,
      hint: "Do less before the first message, or raise limits.fuelPerMessage in the manifest.",
    };
  }
  if (read(HOST_EXPORT.depth) > request.callDepthMax) {
    return {
      reason: `it nested more calls than limits.callDepthMax (${request.callDepthMax})`,
      hint: "Recurse less, or raise limits.callDepthMax in the manifest.",
    };
  }
  return {
    reason: error.message,
    hint: "Run the module's initialisation on your machine; without a message it must succeed.",
  };
}

function begin(exports: WebAssembly.Exports, fuel: number): void {
  call(exports, HOST_EXPORT.begin, fuel);
}

function call(exports: WebAssembly.Exports, name: string, fuel: number): void {
  (exports[name] as (fuel: bigint) => void)(BigInt(fuel));
}

function guestMemory(memory: WebAssembly.Memory): { bytes: Buffer; refresh(): void } {
  return {
    bytes: Buffer.from(memory.buffer),
    refresh(): void {
      this.bytes = Buffer.from(memory.buffer);
    },
  };
}

invariant(parentPort, "the sandbox runs in a thread of its own");
parentPort.postMessage(run(workerData as SandboxRequest));
