/**
 * Fuzzes the API of a real server: see test/fuzz/api-fuzzer.ts.
 * Usage: node scripts/fuzz-api.ts [--requests N] [--seed S]
 */
import { parseArgs } from "node:util";
import { faultsOf } from "../test/fuzz/faults.ts";
import { fuzzApi } from "../test/fuzz/api-fuzzer.ts";

const REQUESTS_DEFAULT = 200_000;

const { values } = parseArgs({
  options: { requests: { type: "string" }, seed: { type: "string" } },
});
const requests = Number(values.requests ?? REQUESTS_DEFAULT);
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32));
if (!Number.isInteger(requests) || requests < 1 || !Number.isInteger(seed)) {
  console.error("Usage: node scripts/fuzz-api.ts [--requests N] [--seed S]");
  process.exit(2);
}
console.log(`fuzz: ${requests} requests, --seed ${seed}`);
const report = await fuzzApi(requests, seed);
for (const [answer, count] of [...report.answers].sort(([, a], [, b]) => b - a)) {
  console.log(`  ${answer.padEnd(28)} ${count}`);
}
const { internal, logged, warmMb, endMb } = report;
console.log(`  failures of the server ${internal}, with a logged cause ${logged}`);
console.log(`  memory ${warmMb.toFixed(0)} MB when warm, ${endMb.toFixed(0)} MB at the end`);
const faults = faultsOf(report);
for (const fault of faults) console.log(`FAILED: ${fault}`);
process.exitCode = faults.length === 0 ? 0 : 1;
