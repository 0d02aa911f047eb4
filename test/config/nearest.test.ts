import { expect, test } from "vitest";
import { nearest } from "../../src/base/nearest.ts";

const KEYS = ["directory", "sizeBytesMax", "level", "format"];

test.each([
  ["directroy", "directory"],
  ["Directory", "directory"],
  ["sizeByteMax", "sizeBytesMax"],
  ["levle", "level"],
  ["formatt", "format"],
])("%s is likely %s", (typo, meant) => {
  expect(nearest(typo, KEYS)).toBe(meant);
});

test.each(["colour", "x", ""])("%j is like none of them", (word) => {
  expect(nearest(word, KEYS)).toBeUndefined();
});
