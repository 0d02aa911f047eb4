import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { readAgent } from "../../cli/agent-source.ts";
import { UsageError } from "../../cli/usage-error.ts";

const root = mkdtempSync(join(tmpdir(), "caxton-source-"));
afterAll(() => rmSync(root, { recursive: true }));

let folders = 0;

function folder(files: Record<string, string>): string {
  const path = join(root, String(folders++));
  mkdirSync(path);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), text);
  }
  return path;
}

const MANIFEST = "apiVersion: caxton/v1\nkind: Agent\nmetadata:\n  name: given # why\n";

describe("one file", () => {
  test("a module: its bytes, and a manifest named after it", () => {
    const path = join(folder({ "My Counter.wasm": "\0asm" }), "My Counter.wasm");
    const { manifest, source } = readAgent(path, {});
    expect(source).toEqual({ $case: "module", value: Buffer.from("\0asm") });
    expect(parse(manifest)).toEqual({
      apiVersion: "caxton/v1",
      kind: "Agent",
      metadata: { name: "my-counter" },
    });
  });

  test("a source: a bundle of one file, in TypeScript unless told otherwise", () => {
    const path = join(folder({ "echo.ts": "export {}", "other.ts": "" }), "echo.ts");
    for (const [options, language] of [
      [{}, "typescript"],
      [{ lang: "ts" }, "typescript"],
      [{ lang: "as" }, "assemblyscript"],
    ] as const) {
      expect(readAgent(path, options).source).toEqual({
        $case: "bundle",
        value: { language, files: { "echo.ts": "export {}" } },
      });
    }
  });

  test("--name and --namespace win", () => {
    const path = join(folder({ "a.wasm": "" }), "a.wasm");
    const { manifest } = readAgent(path, { name: "b", namespace: "c" });
    expect(parse(manifest).metadata).toEqual({ name: "b", namespace: "c" });
  });

  test("--manifest is taken as it is, comments and mistakes included", () => {
    const path = folder({ "a.wasm": "", "m.yaml": MANIFEST, "broken.yaml": "a: [" });
    const read = (file: string) => readAgent(join(path, "a.wasm"), { manifest: join(path, file) });
    expect(read("m.yaml").manifest).toBe(MANIFEST);
    expect(read("broken.yaml").manifest).toBe("a: [");
  });
});

describe("a folder", () => {
  test("agent.yaml and a module", () => {
    const path = folder({ "agent.yaml": MANIFEST, "build.wasm": "\0asm", "notes.txt": "" });
    const { manifest, source } = readAgent(path, {});
    expect(manifest).toBe(MANIFEST);
    expect(source.$case).toBe("module");
  });

  test("agent.yaml and sources, nested ones too", () => {
    const path = folder({
      "agent.yaml": MANIFEST,
      "assembly/index.ts": "1",
      "assembly/lib/sum.ts": "2",
      "assembly/tsconfig.json": "{}",
    });
    expect(readAgent(path, {}).source).toEqual({
      $case: "bundle",
      value: { language: "assemblyscript", files: { "index.ts": "1", "lib/sum.ts": "2" } },
    });
  });

  test("a TypeScript agent: the files it imports and the packages of those, wherever they lie", () => {
    const path = folder({
      "node_modules/up/package.json": '{"main": "lib.js"}',
      "node_modules/up/lib.js": 'exports.a = require("./part");',
      "node_modules/up/part.js": "",
      "node_modules/up/unused.js": "",
      "agent/agent.yaml": MANIFEST,
      "agent/src/index.ts":
        'import "../lib/own"; import "up"; import "@at/near"; import type { A } from "caxton";',
      "agent/lib/own.ts": "",
      "agent/index.test.ts": "",
      "agent/node_modules/@at/near/package.json": '{"exports": "./b.js"}',
      "agent/node_modules/@at/near/b.js": "",
    });
    const { source } = readAgent(join(path, "agent"), {});
    expect(source).toMatchObject({ value: { language: "typescript" } });
    expect(Object.keys((source.value as { files: object }).files).sort()).toEqual([
      "lib/own.ts",
      "node_modules/@at/near/b.js",
      "node_modules/@at/near/package.json",
      "node_modules/up/lib.js",
      "node_modules/up/package.json",
      "node_modules/up/part.js",
      "src/index.ts",
    ]);
  });

  test("a TypeScript agent that can't be bundled: its own files, for the server to judge", () => {
    const path = folder({
      "agent.yaml": MANIFEST,
      "index.js": 'import "fs"; import "./own.js"',
      "own.js": "let a = ;",
      "node_modules/x/index.js": "",
    });
    expect(readAgent(path, {}).source.value).toEqual({
      language: "typescript",
      files: { "index.js": 'import "fs"; import "./own.js"', "own.js": "let a = ;" },
    });
  });

  test("a single file that can't be bundled: nothing of what lies beside it", () => {
    const path = folder({ "one.ts": "let a = ;", "two.ts": "", "private.json": "{}" });
    expect(readAgent(join(path, "one.ts"), {}).source.value).toEqual({
      language: "typescript",
      files: { "one.ts": "let a = ;" },
    });
  });

  test.each([
    ["nothing to deploy", { "agent.yaml": MANIFEST }, "holds nothing to deploy"],
    ["two modules", { "agent.yaml": MANIFEST, "a.wasm": "", "b.wasm": "" }, "a.wasm, b.wasm"],
    [
      "a module and sources",
      { "agent.yaml": MANIFEST, "a.wasm": "", "assembly/index.ts": "" },
      "both a.wasm and sources in assembly/",
    ],
    [
      "an import from outside",
      {
        "agent.yaml": MANIFEST,
        "index.ts": 'import "../agent-outside"',
        "../agent-outside.ts": "",
      },
      "outside of its folder",
    ],
    ["no manifest", { "a.wasm": "" }, "agent.yaml"],
  ])("%s is refused", (_, files, expected) => {
    const path = folder(files);
    expect(() => readAgent(path, {})).toThrow(UsageError);
    expect(() => readAgent(path, {})).toThrow(expected);
  });
});

test.each([
  ["agent.c", "neither a .wasm module nor a .ts or .js source"],
  ["absent.wasm", "ENOENT"],
])("%s is refused", (name, expected) => {
  const path = join(folder({ "agent.c": "" }), name);
  expect(() => readAgent(path, {})).toThrow(expected);
});
