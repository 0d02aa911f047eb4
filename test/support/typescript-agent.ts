/** The TypeScript fixture with the package it imports, as a folder is uploaded. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

const FOLDER = join(import.meta.dirname, "../agents/fixtures/typescript");

export function typeScriptFixture(): Map<string, string> {
  const files = ["index.ts", "shout.ts"].map(
    (name) => [name, readFileSync(join(FOLDER, name), "utf8")] as const,
  );
  return new Map([
    ...files,
    ["node_modules/loud/package.json", '{"name": "loud", "main": "lib/loud.js"}'],
    ["node_modules/loud/lib/loud.js", "exports.upper = (text) => text.toUpperCase();"],
  ]);
}
