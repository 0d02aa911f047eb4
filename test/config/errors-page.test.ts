import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ERRORS } from "../../src/base/errors.ts";

const root = new URL("../../", import.meta.url);

test("the page of errors has one row for each code, with its statuses", () => {
  const page = readFileSync(new URL("docs/errors.md", root), "utf8");
  const rows = page.split("\n").filter((line) => /^\| `[A-Z_]+` /.test(line));
  const cells = rows.map((row) => row.split("|").map((cell) => cell.trim().replaceAll("`", "")));
  expect(cells.map(([, code]) => code).sort()).toEqual(Object.keys(ERRORS).sort());
  for (const [, code, grpc, http, , retry] of cells) {
    const definition = ERRORS[code as keyof typeof ERRORS];
    expect([grpc, http, retry]).toEqual([
      definition.grpc,
      String(definition.http),
      definition.retryable ? "yes" : "no",
    ]);
  }
});
