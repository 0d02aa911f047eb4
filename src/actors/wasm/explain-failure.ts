/** Why a turn failed, from what its guest or its host calls threw. */
import { CaxtonError, ensureError } from "../../base/errors.ts";
import type { AgentManifest } from "../manifest.ts";
import type { TurnFailure } from "../turn-batch.ts";
import { WasmInstance } from "./instance.ts";
import type { GuestMemory } from "./turn-context.ts";

/** `memory` is the one the turn ran in; its fuel and depth are those of the end. */
export function explainFailure(
  thrown: unknown,
  limits: AgentManifest["limits"],
  memory: GuestMemory,
): TurnFailure {
  if (thrown instanceof CaxtonError) return { code: thrown.code, reason: thrown.message };
  const error = ensureError(thrown);
  if (memory instanceof WasmInstance && error instanceof WebAssembly.RuntimeError) {
    if (memory.fuelLeft() < 0) {
      const fuel = String(limits.fuelPerMessage);
      return { code: "FUEL_EXHAUSTED", reason: `the message used all of its ${fuel} fuel` };
    }
    if (memory.depth() > limits.callDepthMax) return tooDeep(limits.callDepthMax);
  }
  if (error instanceof RangeError && /call stack/.test(error.message)) {
    return tooDeep(limits.callDepthMax);
  }
  if (error instanceof RangeError) return { code: "OVERLOADED", reason: error.message };
  return { code: "AGENT_TRAPPED", reason: error.message };
}

export function tooLong(limitMs: number): TurnFailure {
  return { code: "TURN_TIMEOUT", reason: `the turn ran longer than ${String(limitMs)} ms` };
}

function tooDeep(limit: number): TurnFailure {
  return { code: "CALL_DEPTH_EXCEEDED", reason: `more than ${String(limit)} calls were nested` };
}
