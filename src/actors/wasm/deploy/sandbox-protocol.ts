/** What main thread and sandbox thread tell each other. */
import type { Door } from "../doors.ts";
import type { MemoryDelta } from "../memory-delta.ts";

export interface SandboxRequest {
  /** The rewritten module. */
  readonly bytes: Uint8Array;
  readonly door: Door;
  /** Export names of its mutable globals. */
  readonly globals: readonly string[];
  /** What a language's module is to run, undefined for a module that is the agent. */
  readonly program: Uint8Array | undefined;
  readonly fuel: number;
  readonly timeoutMs: number;
  readonly callDepthMax: number;
}

/** `thread` stands for all of them: it ended without an answer. */
export type SandboxStep =
  "thread" | "compile" | "instantiate" | "initialize" | "program" | "alloc" | "health";

export interface SandboxFailure {
  readonly step: SandboxStep;
  readonly reason: string;
  readonly hint: string;
}

/** What was seen of the module while it ran; later steps are missing when an earlier one failed. */
export interface SandboxObservation {
  readonly failure?: SandboxFailure;
  readonly fuelInitialize?: number;
  /** What initialisation made of a fresh instance. */
  readonly template?: MemoryDelta;
  /** Where `caxton_alloc(SANDBOX_ALLOC_BYTES)` points, unsigned. */
  readonly allocated?: number | undefined;
  /** What `caxton_health` answers, where it is exported. */
  readonly health?: number | undefined;
  /** What the guest's door found against running it. */
  readonly complaint?: string | undefined;
  readonly memoryBytes?: number;
}

export const SANDBOX_ALLOC_BYTES = 16;
