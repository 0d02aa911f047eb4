import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export const ROOT = join(import.meta.dirname, "../..");

/** Not of the repository. In a second working tree `.git` is a file. */
const SKIPPED = new Set(["node_modules", ".git", ".cache", ".caxton", "coverage", "dist"]);
const BINARY = /\.(wasm|bin|binpb|png|ico|gz|db)$/;

/** Paths of all files of the repository, relative to its root, with forward slashes. */
export function listFiles(folder = ""): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    if (SKIPPED.has(entry.name)) return [];
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) return listFiles(path);
    return entry.isFile() && !entry.name.endsWith(".log") ? [path] : [];
  });
}

export const isText = (path: string): boolean => !BINARY.test(path);

export const readText = (path: string): string => readFileSync(join(ROOT, path), "utf8");
