/** Every code of the error table is reached by a test that expects it. */
import { expect, test } from "vitest";
import { ERRORS } from "../../src/base/errors.ts";
import { listFiles, readText } from "./files.ts";

/** Holds codes as such: what it says is not that the code is reached. The simulation draws what it reaches. */
const NO_PROOF = /^test\/(tidy|sim|mutants)\/|^test\/api\/errors\.test\.ts$/;

test.each(Object.keys(ERRORS))("%s", (code) => {
  const tests = listFiles("test").filter((path) => path.endsWith(".ts") && !NO_PROOF.test(path));
  const expecting = tests.filter((path) => new RegExp(`\\b${code}\\b`).test(readText(path)));
  expect(expecting).not.toEqual([]);
});
