/** The host as a module sees it in the sandbox: no state, no effects, a fixed clock and seed. */
import { EffectRing } from "../effects.ts";
import { CAXTON_IMPORTS, ENV_IMPORTS, WASI_IMPORT_NAMES } from "../abi-imports.ts";
import { TurnContext, type GuestMemory } from "../turn-context.ts";
import { wasiImports } from "../wasi.ts";

const ABSENT = -1;

/** 2020-01-01: any fixed time after the epoch does. */
const NOW_MS = 1_577_836_800_000;

type HostFunction = (...args: never[]) => unknown;

export interface SandboxHost {
  readonly imports: WebAssembly.Imports;
  /** Gives the host the module's memory; before that its functions have none to write to. */
  attach(memory: GuestMemory): void;
}

export function sandboxHost(): SandboxHost {
  const turn = new TurnContext(new EffectRing(0), [], 0);
  turn.nowMs = NOW_MS;
  // Nothing is logged in a replay.
  turn.replayState = new Map();
  return {
    imports: {
      caxton: caxtonStubs(turn),
      wasi_snapshot_preview1: wasiImports(turn, WASI_IMPORT_NAMES),
      env: stubs(ENV_IMPORTS, { abort: () => leave("abort") }),
    },
    attach: (memory) => {
      turn.memory = memory;
    },
  };
}

function caxtonStubs(turn: TurnContext): Record<string, HostFunction> {
  const absent = (): number => ABSENT;
  return stubs(CAXTON_IMPORTS, {
    ask: () => 1n,
    fail: () => leave("fail"),
    state_get: absent,
    config_get: absent,
    flag_get: absent,
    now: () => turn.nowMs,
    random: () => turn.random.nextFloat(),
  });
}

/** Functions without a stub do nothing and answer 0. */
function stubs<Name extends string>(
  table: Readonly<Record<Name, unknown>>,
  known: Partial<Record<Name, HostFunction>>,
): Record<string, HostFunction> {
  const names = Object.keys(table) as Name[];
  return Object.fromEntries(names.map((name) => [name, known[name] ?? (() => 0)]));
}

function leave(name: string): never {
  throw new Error(`the module called ${name}`);
}
