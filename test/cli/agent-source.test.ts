import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { readAgent } from "../../cli/agent-source.ts";
import { UsageError } from "../../cli/failure.ts";

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

  test("a source: a bundle of one file", () => {
    const path = join(folder({ "echo.ts": "export {}" }), "echo.ts");
    expect(readAgent(path, {}).source).toEqual({
      $case: "bundle",
      value: { language: "assemblyscript", files: { "echo.ts": "export {}" } },
    });
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

  test.each([
    ["nothing to deploy", { "agent.yaml": MANIFEST }, "holds nothing to deploy"],
    ["two modules", { "agent.yaml": MANIFEST, "a.wasm": "", "b.wasm": "" }, "a.wasm, b.wasm"],
    [
      "a module and sources",
      { "agent.yaml": MANIFEST, "a.wasm": "", "assembly/index.ts": "" },
      "both a.wasm and sources",
    ],
    ["no manifest", { "a.wasm": "" }, "agent.yaml"],
  ])("%s is refused", (_, files, expected) => {
    const path = folder(files);
    expect(() => readAgent(path, {})).toThrow(UsageError);
    expect(() => readAgent(path, {})).toThrow(expected);
  });
});

test.each([
  ["agent.js", "neither a .wasm module nor a .ts source"],
  ["absent.wasm", "ENOENT"],
])("%s is refused", (name, expected) => {
  const path = join(folder({ "agent.js": "" }), name);
  expect(() => readAgent(path, {})).toThrow(expected);
});
