/** The host as a module sees it before its first message: no state, no effects, time and seed 0. */
import { EffectRing } from "../effects.ts";
import { DOORS } from "../doors.ts";
import type { Door } from "../doors.ts";
import { TurnContext, type GuestMemory } from "../turn-context.ts";

export interface SandboxHost {
  readonly imports: WebAssembly.Imports;
  /** Gives the host the module's memory; before that its functions have none to write to. */
  attach(memory: GuestMemory): void;
}

export function sandboxHost(door: Door): SandboxHost {
  const turn = new TurnContext(new EffectRing(0), [], 0);
  return {
    imports: DOORS[door].imports(turn),
    attach: (memory) => {
      turn.beginInitialisation(memory);
    },
  };
}
