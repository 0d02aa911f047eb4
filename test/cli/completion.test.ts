import { expect, test } from "vitest";
import { completionOf } from "../../cli/completion.ts";
import { createProgram } from "../../cli/program.ts";

const complete = (...words: string[]) => {
  const { candidates, source } = completionOf(createProgram(), words);
  return { words: candidates.map(({ word }) => word), source };
};

test.each([
  [["ag"], ["agent"]],
  [
    ["agent", "de"],
    ["deploy", "delete"],
  ],
  [["actor", "list", "--st"], ["--status"]],
  [["actor", "list", "--status", "he"], ["held"]],
  [["actor", "--end"], ["--endpoint"]],
  [["-o", "json", "dead-letter", "re"], ["retry"]],
  [
    ["completion", ""],
    ["bash", "zsh", "fish"],
  ],
  [["nonsense", "--x"], []],
])("%j", (words, expected) => {
  expect(complete(...words)).toEqual({ words: expected, source: undefined });
});

test("what is only for shells is not offered", () => {
  expect(complete("").words).toContain("agent");
  expect(complete("__")).toEqual({ words: [], source: undefined });
});

test.each([
  [["message", "ask", "--to", "default/"], "actors"],
  [["actor", "inspect", ""], "actors"],
  [["agent", "delete", ""], "agents"],
  [["actor", "list", "--agent", ""], "agents"],
  [["dead-letter", "retry", ""], "dead-letters"],
  [["agent", "list", "--namespace", ""], "namespaces"],
  [["agent", "deploy", ""], undefined],
])("%j asks the server for %s", (words, source) => {
  expect(complete(...words)).toEqual({ words: [], source });
});

test("options before the cursor are known", () => {
  const { options } = completionOf(createProgram(), ["--endpoint", "h:1", "agent", "inspect", ""]);
  expect(options.get("endpoint")).toBe("h:1");
});
