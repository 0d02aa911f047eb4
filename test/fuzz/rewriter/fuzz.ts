import { Script } from "node:vm";
import { checkModule, type Verdict } from "./check.ts";
import { Dice } from "./dice.ts";
import { generateModule } from "./module-generator.ts";
import { mutate } from "./mutate.ts";

export interface FuzzOptions {
  readonly modules: number;
  readonly seed: number;
  /** Told now and then how many modules are done. */
  readonly progress?: (done: number) => void;
}

export interface FuzzReport {
  readonly modules: number;
  readonly accepted: number;
  readonly refused: number;
  readonly stoppedByFuel: number;
  readonly stoppedByDepth: number;
  /** Calls whose outcome was the same with and without rewriting. */
  readonly compared: number;
  readonly violations: readonly FuzzViolation[];
}

export interface FuzzViolation {
  /** Give it as --seed with --modules 1 to see it again. */
  readonly seed: number;
  readonly what: string;
  readonly bytes: Uint8Array;
}

const MUTATED_PERCENT = 35;
const PROGRESS_EVERY = 5_000;
const VIOLATIONS_MAX = 10;
/** Far above what the fuel allows: only a module that fuel does not stop gets here. */
const TIMEOUT_MS = 5_000;

const ENTRY = "__caxtonFuzzOne";
const script = new Script(`globalThis.${ENTRY}()`);

/** Module number n of a run has the seed of the run plus n. */
export function fuzzRewriter({ modules, seed, progress }: FuzzOptions): FuzzReport {
  const counts = { accepted: 0, refused: 0, stoppedByFuel: 0, stoppedByDepth: 0, compared: 0 };
  const violations: FuzzViolation[] = [];
  let done = 0;
  for (; done < modules && violations.length < VIOLATIONS_MAX; done += 1) {
    const bytes = moduleFor(seed + done);
    const verdict = judge(bytes);
    if (verdict.kind === "violation") {
      violations.push({ seed: seed + done, what: verdict.what, bytes });
    } else if (verdict.kind === "refused") counts.refused += 1;
    else {
      counts.accepted += 1;
      counts.compared += verdict.compared;
      if (verdict.stopped === "fuel") counts.stoppedByFuel += 1;
      if (verdict.stopped === "depth") counts.stoppedByDepth += 1;
    }
    if ((done + 1) % PROGRESS_EVERY === 0) progress?.(done + 1);
  }
  return { modules: done, ...counts, violations };
}

function moduleFor(seed: number): Uint8Array {
  const dice = new Dice(seed);
  const bytes = generateModule(dice);
  return dice.chance(MUTATED_PERCENT) ? mutate(bytes, dice) : bytes;
}

function judge(bytes: Uint8Array): Verdict {
  Reflect.set(globalThis, ENTRY, () => checkModule(bytes));
  try {
    return script.runInThisContext({ timeout: TIMEOUT_MS }) as Verdict;
  } catch (error) {
    return { kind: "violation", what: `was not stopped by its fuel: ${String(error)}` };
  }
}
