/** Writes the pages of docs/ that are made of code. With --check it only says which are out of date. */
import { readFileSync, writeFileSync } from "node:fs";
import { format } from "prettier";
import { generatedPages } from "./generated-pages.ts";

const root = new URL("../", import.meta.url);
const isCheck = process.argv.includes("--check");
const stale: string[] = [];

for (const [path, text] of await generatedPages()) {
  const file = new URL(path, root);
  const page = await format(text, { parser: "markdown", printWidth: 100 });
  if (isCheck && readOrEmpty(file) !== page) stale.push(path);
  if (!isCheck) writeFileSync(file, page);
}

if (stale.length > 0) {
  console.error(`out of date: ${stale.join(", ")}: run 'node scripts/generate-docs.ts'`);
  process.exitCode = 1;
}

function readOrEmpty(file: URL): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
