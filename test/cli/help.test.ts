import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";

const LAUNCHER = fileURLToPath(new URL("../../bin/caxton", import.meta.url));
const CONTRACT = fileURLToPath(new URL("../../docs/cli.md", import.meta.url));

const folder = mkdtempSync(join(tmpdir(), "caxton-launcher-"));
afterAll(() => rmSync(folder, { recursive: true }));

function caxton(args: readonly string[], launcher = LAUNCHER) {
  const { status, stdout, stderr } = spawnSync(launcher, args, { encoding: "utf8" });
  return { status, stdout, stderr };
}

/** Words alone: options that every command shares shift the columns. */
function words(text: string): string {
  return text.replace(/\s+/g, " ");
}

describe("help is what docs/cli.md promises", () => {
  const contract = words(readFileSync(CONTRACT, "utf8"));
  test.each(["agent", "message ask", "server", "storage", "storage copy"])(
    "caxton %s --help",
    (command) => {
      const { status, stdout } = caxton([...command.split(" "), "--help"]);
      expect(status).toBe(0);
      const own = stdout.split("\nGlobal Options:")[0]!;
      expect(contract).toContain(words(`## caxton ${command} \`\`\`text ${own.trim()} `));
    },
  );

  test("caxton --help lists nouns and exit codes", () => {
    const { status, stdout } = caxton(["--help"]);
    expect(status).toBe(0);
    for (const noun of [
      "server",
      "storage",
      "agent",
      "message",
      "actor",
      "state",
      "dead-letter",
      "top",
      "completion",
    ]) {
      expect(stdout).toMatch(new RegExp(`^  ${noun} `, "m"));
    }
    expect(stdout).toMatch(/^ {2}4 +the server can't be reached/m);
  });
});

describe("mistakes", () => {
  test.each([
    [["agnt"], "Did you mean agent?"],
    [["agent", "delpoy", "x"], "Did you mean deploy?"],
    [["message", "send", "--to", "a/b", "--contnt", "x"], "Did you mean --content?"],
    [["message", "send"], "required option '--to <address>' not specified"],
    [["-o", "xml", "agent", "list"], "Allowed are table, wide, json, yaml"],
    [["-o", "custom-columns=NAME", "agent", "list"], "Write a column as TITLE:path"],
    [["message", "ask", "--to", "a/b", "--timeout", "soon"], "Write it like 500ms, 30s or 2m."],
    [["agent", "deploy", "/absent.wasm"], "Can't read /absent.wasm"],
    [["server", "--confg", "x"], "Did you mean --config?"],
  ])("caxton %j", (args, expected) => {
    const { status, stdout, stderr } = caxton(args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toContain(expected);
  });

  test("content given twice", () => {
    const args = ["message", "send", "--to", "a/b", "--content", "x", "--content-file", "y"];
    expect(caxton(args)).toMatchObject({ status: 2 });
  });

  test("nobody listens", () => {
    const { status, stderr } = caxton(["--endpoint", "127.0.0.1:1", "agent", "list"]);
    expect(status).toBe(4);
    expect(stderr).toContain("The server at 127.0.0.1:1 can't be reached.");
    expect(stderr).toContain("fix: Start one with 'caxton server'");
  });
});

test("the launcher finds its home through symbolic links", () => {
  symlinkSync(LAUNCHER, join(folder, "first"));
  symlinkSync("first", join(folder, "second"));
  const direct = caxton(["--version"]);
  expect(direct).toMatchObject({ status: 0, stderr: "" });
  expect(caxton(["--version"], join(folder, "second"))).toEqual(direct);
});
