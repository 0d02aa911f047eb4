/** What an author types: a folder to begin with, and deployment at every change. */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { EXIT } from "../../src/base/exit-codes.ts";
import { LAUNCHER, startServerProcess } from "../support/server.ts";

const BIN = join(import.meta.dirname, "../../node_modules/.bin");
const folder = mkdtempSync(join(tmpdir(), "caxton-author-"));
afterAll(() => rmSync(folder, { recursive: true }));

function caxton(args: readonly string[], env: Record<string, string> = {}) {
  const options = { cwd: folder, env: { ...process.env, ...env }, encoding: "utf8" } as const;
  return spawnSync(LAUNCHER, args, options);
}

describe("init", () => {
  test("a folder in TypeScript, its types in order, that is never overwritten", () => {
    const { stdout, status } = caxton(["agent", "init", "hello"]);
    expect(status).toBe(EXIT.ok);
    expect(stdout).toMatch(/^hello is made, in TypeScript[^]*caxton agent deploy/);
    expect(readdirSync(join(folder, "hello")).sort()).toEqual([
      "agent.yaml",
      "caxton-globals.d.ts",
      "caxton-test.d.ts",
      "caxton.d.ts",
      "index.test.ts",
      "index.ts",
      "tsconfig.json",
    ]);
    expect(readFileSync(join(folder, "hello/agent.yaml"), "utf8")).toContain("name: hello\n");
    const types = spawnSync(join(BIN, "tsc"), ["-p", join(folder, "hello")], { encoding: "utf8" });
    expect(types).toMatchObject({ stdout: "", status: 0 });

    writeFileSync(join(folder, "hello/index.ts"), "mine");
    const again = caxton(["agent", "init", "hello", "--lang", "c"]);
    expect(again).toMatchObject({ stdout: "", status: EXIT.usage });
    expect(again.stderr).toContain("hello exists already");
    expect(readFileSync(join(folder, "hello/index.ts"), "utf8")).toBe("mine");
  });

  test("in C: the header and how to build", () => {
    expect(caxton(["agent", "init", "hello-c", "--lang", "c"]).status).toBe(EXIT.ok);
    expect(readdirSync(join(folder, "hello-c")).sort()).toEqual([
      "agent.c",
      "agent.yaml",
      "build.sh",
      "caxton.h",
    ]);
  });

  test.each(["Hello", "../hello", ""])("no agent is called %o", (name) => {
    expect(caxton(["agent", "init", name])).toMatchObject({ stdout: "", status: EXIT.usage });
  });
});

/** Resolves when the process has printed the text, after what was already waited for. */
function printed(child: ChildProcessWithoutNullStreams) {
  let unread = "";
  let look = (): void => undefined;
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      unread += chunk.toString();
      look();
    });
  }
  return (text: string) =>
    new Promise<void>((resolve) => {
      look = () => {
        const at = unread.indexOf(text);
        if (at < 0) return;
        unread = unread.slice(at + text.length);
        look = () => undefined;
        resolve();
      };
      look();
    });
}

test("watch: every change is deployed, and a refused one ends nothing", async () => {
  const server = await startServerProcess();
  const env = { CAXTON_ENDPOINT: server.endpoint };
  expect(caxton(["agent", "init", "seen"]).status).toBe(EXIT.ok);
  const source = join(folder, "seen/index.ts");
  const first = readFileSync(source, "utf8");
  const child = spawn(LAUNCHER, ["agent", "deploy", "seen", "--watch"], {
    cwd: folder,
    env: { ...process.env, ...env },
  });
  try {
    const shown = printed(child);
    await shown("default/seen is deployed");
    await shown("watching seen");
    writeFileSync(source, first.replace("greeted++", "greeted+"));
    await shown("index.ts:7:");
    await shown("COMPILE_FAILED");
    await shown("watching seen");
    writeFileSync(source, first.replace("Hello", "Good day"));
    await shown("default/seen is deployed");
    await shown("watching seen");
    const ask = ["message", "ask", "--to", "default/seen/door", "--content", "Ada"];
    expect(caxton(ask, env).stdout).toBe("Good day Ada, you are number 1.");
    writeFileSync(source, first);
    await shown("MEMORY_STATE_WOULD_BE_LOST");
    await shown("watch with --reset-memory");
    expect(caxton(ask, env).stdout).toBe("Good day Ada, you are number 2.");
  } finally {
    child.kill();
    await server.dispose();
  }
});
