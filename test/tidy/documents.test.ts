import { existsSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, test } from "vitest";
import { listFiles, readText, ROOT } from "./files.ts";

const documents = listFiles().filter((path) => path.endsWith(".md"));

const withoutCode = (text: string): string =>
  text.replace(/^(```|~~~)[^\n]*\n[\s\S]*?^\1\s*$/gm, "").replace(/`[^`\n]*`/g, "");

const headings = (text: string): string[] =>
  [...text.replace(/^(```|~~~)[^\n]*\n[\s\S]*?^\1\s*$/gm, "").matchAll(/^#{1,6} (.+)$/gm)].map(
    (match) => match[1]!,
  );

/** The anchor a heading gets when the document is shown as a page. */
const anchor = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\- _]/gu, "")
    .trim()
    .replaceAll(" ", "-");

/** Relative links that lead nowhere. */
function brokenLinks(path: string): string[] {
  return [...withoutCode(readText(path)).matchAll(/\]\(([^)\s]+)[^)]*\)/g)]
    .map((match) => match[1]!)
    .filter((target) => !/^[a-z]+:/.test(target))
    .filter((target) => {
      const [file, fragment] = target.split("#") as [string, string?];
      const linked = file === "" ? path : normalize(join(dirname(path), file));
      if (!existsSync(join(ROOT, linked))) return true;
      if (fragment === undefined || !linked.endsWith(".md")) return false;
      return !headings(readText(linked)).map(anchor).includes(fragment);
    });
}

describe.each(documents)("%s", (path) => {
  test("has one title, before anything else", () => {
    const text = readText(path);
    expect(text.replace(/^<!--.*-->\n\n/, "")).toMatch(/^# \S/);
    expect(withoutCode(text).match(/^# /gm)).toHaveLength(1);
  });

  test("links to what exists", () => {
    expect(brokenLinks(path)).toEqual([]);
  });
});
