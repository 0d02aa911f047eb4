/**
 * Runs the simulation: node scripts/sim.ts [--seeds N] [--seed S]
 * Exits with 127 for a crash, 128 when work stops short, 129 when a promise is broken.
 */
import { execFileSync } from "node:child_process";
import { parseArgs } from "node:util";
import { Coverage } from "../test/sim/coverage.ts";
import { EXIT_CORRECTNESS } from "../test/sim/failure.ts";
import { simulate } from "../test/sim/simulate.ts";

/** From here on every branch must have come up. */
const COVERAGE_SEEDS_MIN = 200;

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    seed: { type: "string", default: "1" },
  },
});
const [seeds, first] = [Number(values.seeds), Number(values.seed)];
if (!Number.isSafeInteger(seeds) || seeds < 1 || !Number.isSafeInteger(first) || first < 0) {
  process.stderr.write("--seeds must be a positive integer, --seed a natural number.\n");
  process.exit(2);
}

function commit(): string {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  } catch {
    return "unknown";
  }
}

const startMs = performance.now();
const coverage = new Coverage();
for (let seed = first; seed < first + seeds; seed++) {
  const result = simulate(seed);
  coverage.add(result.coverage);
  const { failure } = result;
  if (failure !== undefined) {
    console.log(`SEED ${seed} at commit ${commit()}: ${failure.message}`);
    console.log(`Again: npm run sim -- --seeds 1 --seed ${seed}`);
    process.exit(failure.exitCode);
  }
  if (seed === first && simulate(seed).hash !== result.hash) {
    console.log(`SEED ${seed} at commit ${commit()}: twice the same seed, not the same frames`);
    process.exit(EXIT_CORRECTNESS);
  }
  if ((seed - first + 1) % 1000 === 0) process.stderr.write(`${seed - first + 1} seeds\n`);
}

console.log(coverage.table());
const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
console.log(`\n${seeds} seeds from ${first} in ${seconds} s, commit ${commit()}`);
const missing = seeds >= COVERAGE_SEEDS_MIN ? coverage.missing() : [];
if (missing.length > 0) console.log(`Never came up: ${missing.join(", ")}`);
process.exit(missing.length > 0 ? 1 : 0);
