/**
 * Throws random modules at the rewriter: node scripts/fuzz-rewriter.ts [--modules N] [--seed S]
 * Exits with 1 when a module is neither refused cleanly nor kept within its caps.
 */
import { parseArgs } from "node:util";
import { fuzzRewriter } from "../test/fuzz/rewriter/fuzz.ts";

const ACCEPTED_PERCENT_MIN = 20;

const { values } = parseArgs({
  options: {
    modules: { type: "string", default: "100000" },
    seed: { type: "string", default: "1" },
  },
});
const [modules, seed] = [Number(values.modules), Number(values.seed)];
if (!Number.isSafeInteger(modules) || modules < 1 || !Number.isSafeInteger(seed) || seed < 0) {
  process.stderr.write("--modules must be a positive integer, --seed a natural number.\n");
  process.exit(2);
}

const startMs = performance.now();
const report = fuzzRewriter({
  modules,
  seed,
  progress: (done) => process.stderr.write(`${done} of ${modules}\n`),
});
const { violations, ...counts } = report;
console.log({ seed, ...counts, seconds: Math.round((performance.now() - startMs) / 1000) });
for (const { seed: at, what, bytes } of violations) {
  console.log(`VIOLATION (--seed ${at} --modules 1): ${what}`);
  console.log(Buffer.from(bytes).toString("base64"));
}
// A few modules say nothing about the share.
const tooFew = modules >= 1_000 && report.accepted * 100 < modules * ACCEPTED_PERCENT_MIN;
if (tooFew)
  console.log(`Fewer than ${ACCEPTED_PERCENT_MIN} % were accepted: the run proves little.`);
process.exit(violations.length > 0 || tooFew ? 1 : 0);
