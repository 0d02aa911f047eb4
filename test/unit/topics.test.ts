import { describe, expect, test } from "vitest";
import { isTopic, isTopicPattern, matchesTopic } from "../../src/actors/topics.ts";

describe("topics", () => {
  test.each([
    ["a", "a", true],
    ["a", "b", false],
    ["a.b", "a.b", true],
    ["a.b", "a", false],
    ["a", "a.b", false],
    ["*", "a", true],
    ["*", "a.b", false],
    ["a.*.c", "a.b.c", true],
    ["a.*.c", "a.b.d", false],
    [">", "a", true],
    [">", "a.b.c", true],
    ["a.>", "a", false],
    ["a.>", "a.b.c", true],
    ["a.>", "b.b.c", false],
  ])("%s covers %s: %s", (pattern, topic, covers) => {
    expect(matchesTopic(pattern, topic)).toBe(covers);
  });

  test.each(["a", "a.b", "A_b-c~2F", "*", "a.*.b", ">", "a.>", "*.>"])(
    "%s is a pattern",
    (text) => {
      expect(isTopicPattern(text)).toBe(true);
    },
  );

  test.each(["", ".", "a.", ".a", "a..b", ">.a", "a>", "a*", "a b", "ä"])(
    "'%s' is none",
    (text) => {
      expect(isTopicPattern(text)).toBe(false);
    },
  );

  test("a topic has no wildcards and is short", () => {
    expect(["a", "a.b-c", "x".repeat(200)].map(isTopic)).toEqual([true, true, true]);
    expect(["*", "a.>", "a b", "", "x".repeat(201)].map(isTopic)).toEqual(
      Array.from({ length: 5 }, () => false),
    );
  });
});
