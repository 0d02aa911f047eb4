/**
 * Entry of the throw-away thread that runs a new module for the first time: with fuel, under a time limit,
 * without any effect. Main ends the thread when it does not answer.
 */
import { Script } from "node:vm";
import { parentPort, workerData } from "node:worker_threads";
import { invariant } from "../../../base/assert.ts";
import { ensureError } from "../../../base/errors.ts";
import { WasmInstance } from "../instance.ts";
import { deltaOf } from "../memory-delta.ts";
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

class Sandbox {
  private readonly request: SandboxRequest;
  private readonly fuel: bigint;
  private instance: WasmInstance | undefined;

  constructor(request: SandboxRequest) {
    this.request = request;
    this.fuel = BigInt(request.fuel);
  }

  run(): SandboxObservation {
    let seen: SandboxObservation = {};
    try {
      const { request } = this;
      const module = this.step("compile", () => new WebAssembly.Module(request.bytes));
      const program = request.program && this.compileProgram(module, request.program);
      const instance = this.instantiate(module);
      const fresh = instance.image().pages;
      this.step("initialize", () => {
        instance.initialize(this.fuel);
      });
      if (program !== undefined) {
        instance.begin(this.fuel);
        this.step("program", () => instance.door.prepare?.(program));
      }
      instance.refresh();
      const template = deltaOf(fresh, instance.bytes, instance.globalValues());
      seen = { fuelInitialize: this.request.fuel - instance.fuelLeft(), template };
      seen = { ...seen, allocated: this.call("alloc", "caxton_alloc", SANDBOX_ALLOC_BYTES) };
      seen = { ...seen, health: this.call("health", "caxton_health") };
      instance.begin(this.fuel);
      seen = { ...seen, complaint: this.step("health", () => instance.door.complaint?.()) };
      return { ...seen, memoryBytes: instance.memoryBytes };
    } catch (error) {
      if (error instanceof StepFailed) return { ...seen, failure: error.failure };
      throw error;
    }
  }

  /** In an instance of its own: what compiling leaves behind does not belong into the template. */
  private compileProgram(module: WebAssembly.Module, program: Uint8Array): Uint8Array | undefined {
    const instance = this.instantiate(module);
    return this.step("program", () => {
      instance.initialize(this.fuel);
      return instance.door.compile?.(program);
    });
  }

  private instantiate(module: WebAssembly.Module): WasmInstance {
    const { request } = this;
    const host = sandboxHost(request.door);
    const made = this.step(
      "instantiate",
      () => new WasmInstance({ ...request, module }, host.imports),
    );
    host.attach(made);
    this.instance = made;
    return made;
  }

  /** What the function answers, unsigned; undefined where there is none. */
  private call(step: SandboxStep, name: string, ...args: number[]): number | undefined {
    const call = this.instance?.exports[name] as Numeric | undefined;
    if (call === undefined) return undefined;
    this.instance?.begin(this.fuel);
    return this.step(step, () => call(...args)) >>> 0;
  }

  /** One thing done with the module, under the time limit. */
  private step<T>(name: SandboxStep, work: () => T): T {
    try {
      Reflect.set(globalThis, ENTRY, work);
      return script.runInThisContext({ timeout: this.request.timeoutMs }) as T;
    } catch (error) {
      throw new StepFailed({ step: name, ...this.explain(ensureError(error)) });
    }
  }

  private explain(error: Error): Omit<SandboxFailure, "step"> {
    const { request, instance } = this;
    if ("code" in error && error.code === "ERR_SCRIPT_EXECUTION_TIMEOUT") {
      return {
        reason: `it ran longer than limits.turnTimeoutMs (${request.timeoutMs} ms)`,
        hint: "Do less before the first message, or raise limits.turnTimeoutMs in the manifest.",
      };
    }
    if (instance !== undefined && instance.fuelLeft() < 0) {
      return {
        reason: `it used all its fuel (limits.fuelPerMessage is ${request.fuel})`,
        hint: "Do less before the first message, or raise limits.fuelPerMessage in the manifest.",
      };
    }
    if (instance !== undefined && instance.depth() > request.callDepthMax) {
      return {
        reason: `it nested more calls than limits.callDepthMax (${request.callDepthMax})`,
        hint: "Recurse less, or raise limits.callDepthMax in the manifest.",
      };
    }
    if (request.program !== undefined) {
      return {
        reason: error.message,
        hint: "The top level runs once, at deployment: without a message, state or effects.",
      };
    }
    return {
      reason: error.message,
      hint: "Run the module's initialisation on your machine; without a message it must succeed.",
    };
  }
}

invariant(parentPort, "the sandbox runs in a thread of its own");
parentPort.postMessage(new Sandbox(workerData as SandboxRequest).run());
