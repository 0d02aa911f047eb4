import { expect, test } from "vitest";
import { isText, listFiles, readText } from "./files.ts";

/** One letter of each word is in brackets, so that this list does not match itself. */
const BANNED: readonly { readonly pattern: RegExp; readonly why: string }[] = [
  { pattern: /\/(wor[k]|far[m])\//, why: "a path of one machine" },
  { pattern: /\.\.\/share[d]\b|\.librar[y]\b/, why: "a folder outside the repository" },
  {
    pattern: /https?:\/\/\S*(registr[y]|prox[y]|pyp[i]|debia[n])/,
    why: "a package host",
  },
  { pattern: /(^|[^a-z])issu[e] #?\d+/i, why: "a ticket number instead of the reason" },
  { pattern: /\b(TOD[O]|FIXM[E]|XX[X])\b/, why: "work left over" },
  { pattern: /^(<<<<<<[<]|>>>>>>[>])/m, why: "a merge conflict" },
  { pattern: /\b(test|describe|it)\.onl[y]\(/, why: "a test that switches off the others" },
];

const LINES_MAX = 500;

const texts = listFiles()
  .filter((path) => isText(path) && path !== "package-lock.json" && path !== "LICENSE")
  .map((path) => ({ path, text: readText(path) }));

test("the repository has files to look at", () => {
  expect(texts.length).toBeGreaterThan(20);
});

test.each(BANNED)("no file holds $why", ({ pattern }) => {
  const found = texts.flatMap(({ path, text }) => {
    const match = pattern.exec(text);
    return match ? [`${path}: ${match[0].trim()}`] : [];
  });
  expect(found).toEqual([]);
});

test(`no source file is longer than ${String(LINES_MAX)} lines`, () => {
  const tooLong = texts
    .filter(({ path }) => /\.(ts|js|cjs|mts|c|h|sh|proto)$/.test(path))
    .filter(({ path }) => !path.startsWith("src/gen/"))
    .map(({ path, text }) => ({ path, lines: text.split("\n").length - 1 }))
    .filter(({ lines }) => lines > LINES_MAX);
  expect(tooLong).toEqual([]);
});

test("text files end with one newline and hold no tabs or carriage returns", () => {
  const untidy = texts
    .filter(({ path }) => !path.startsWith("src/gen/"))
    .filter(({ path, text }) => {
      // gofmt indents with tabs, in documents too.
      const unwanted = /\.(go|md)$/.test(path) ? /\r/ : /[\t\r]/;
      return text !== "" && (!/[^\n]\n$/.test(text) || unwanted.test(text));
    })
    .map(({ path }) => path);
  expect(untidy).toEqual([]);
});
