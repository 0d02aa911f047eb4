import { expect, test } from "vitest";
import { fuzzApi } from "../fuzz/api-fuzzer.ts";
import { faultsOf } from "../fuzz/faults.ts";

const REQUESTS = 2000;

test("requests as nobody should send them leave the server as it was", async () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  console.log(`seed ${seed}: node scripts/fuzz-api.ts --requests ${REQUESTS} --seed ${seed}`);
  const report = await fuzzApi(REQUESTS, seed);
  expect(faultsOf(report)).toEqual([]);
  for (const answer of ["rest 200", "rest 400", "rest 404", "grpc OK", "grpc INVALID_ARGUMENT"]) {
    expect(report.answers.get(answer), answer).toBeGreaterThan(0);
  }
});
