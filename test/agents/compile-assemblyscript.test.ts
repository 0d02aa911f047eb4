import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  compileAssemblyScript,
  type CompileResult,
} from "../../src/actors/wasm/languages/assemblyscript.ts";
import { Guest } from "./guest.ts";
import { compileAgent, fixture, ROOT } from "./modules.ts";

const AGENT = `import { Message, reply } from "caxton";
import { shout } from "./lib/text";
export function onMessage(message: Message): void {
  reply(shout(message.text));
}
`;
const LIBRARY = `export function shout(text: string): string {
  return text.toUpperCase() + "!";
}
`;

const compile = (files: Record<string, string>): Promise<CompileResult> =>
  compileAssemblyScript(new Map(Object.entries(files)));

async function findingsOf(files: Record<string, string>) {
  const result = await compile(files);
  return result.kind === "failed" ? result.findings : [];
}

describe("compiling", () => {
  test("takes several files", async () => {
    const result = await compile({ "index.ts": AGENT, "lib/text.ts": LIBRARY });
    if (result.kind === "failed") throw new Error(JSON.stringify(result.findings));
    expect(new Guest(result.wasm).ask("hello")).toBe("HELLO!");
  });

  test("gives the same bytes for the same source", async () => {
    const wasm = Buffer.from(await compileAgent("test/agents/fixtures/echo"));
    expect(wasm.equals(fixture("echo"))).toBe(true);
  });

  test("takes one file of any name and passes its own exports on", async () => {
    const own = "export function caxton_health(): i32 {\n  return 0;\n}\n";
    const result = await compile({ "greeter.ts": AGENT.replace(/.*lib.*\n/, LIBRARY) + own });
    if (result.kind === "failed") throw new Error(JSON.stringify(result.findings));
    const exported = WebAssembly.Module.exports(new WebAssembly.Module(result.wasm));
    expect(exported.map(({ name }) => name)).toContain("caxton_health");
  });
});

describe("what authors begin with", () => {
  test("the agent that init writes compiles and counts", async () => {
    const template = join(ROOT, "sdk/agent/templates/assemblyscript/assembly/index.ts");
    const result = await compile({ "index.ts": readFileSync(template, "utf8") });
    const guest = new Guest(result.kind === "compiled" ? result.wasm : new Uint8Array());
    guest.ask("Ada");
    expect(guest.ask("Grace")).toBe("Hello Grace, you are number 2.");
  });

  test("the examples of the page compile", async () => {
    const page = readFileSync(join(ROOT, "docs/first-agent.md"), "utf8");
    const section = page.slice(page.indexOf("## In AssemblyScript"));
    const examples = [...section.matchAll(/^```ts[^\n]*\n([\s\S]*?)^```$/gm)];
    expect(examples.length).toBeGreaterThan(0);
    for (const [, source] of examples) {
      expect((await compile({ "index.ts": source! })).kind).toBe("compiled");
    }
  });
});

describe("what is wrong with a source", () => {
  test("is told with file, line and column, all of it", async () => {
    const wrong = AGENT.replace("shout(", "whisper(").replace("message.text", "message.txt");
    const at = (await findingsOf({ "index.ts": wrong, "lib/text.ts": LIBRARY })).map((f) => f.at);
    expect(at).toContain("index.ts:4:9");
  });

  test("is told of the file it is in", async () => {
    const files = { "index.ts": AGENT, "lib/text.ts": LIBRARY.replace("toUpperCase", "upper") };
    expect(await findingsOf(files)).toEqual([
      { at: "lib/text.ts:2:15", message: expect.stringContaining("upper") as string },
    ]);
  });

  test("a missing file is named", async () => {
    const findings = await findingsOf({ "index.ts": AGENT });
    expect(findings[0]).toMatchObject({
      at: "index.ts:2:23",
      message: "File 'lib/text.ts' not found.",
    });
  });

  test.each(["export function handle(): void {}", "export function onMessage(m: string): void {}"])(
    "%s is not an entry",
    async (source) => {
      const [finding] = await findingsOf({ "index.ts": source });
      expect(finding?.at).toBe("index.ts");
      expect(finding?.hint).toContain("onMessage(message: Message): void");
    },
  );

  test("does not get in the way of the next compilation", async () => {
    await compile({ "index.ts": "export function (" });
    expect((await compile({ "index.ts": AGENT, "lib/text.ts": LIBRARY })).kind).toBe("compiled");
  });
});

describe("files that are no source", () => {
  test.each(["../index.ts", "/etc/passwd.ts", "a//b.ts", "notes.txt", "~lib/rt.ts", "a/../b.ts"])(
    "%s is refused",
    async (path) => {
      const findings = await findingsOf({ "index.ts": AGENT, [path]: "" });
      expect(findings.map((finding) => finding.at)).toEqual([path]);
    },
  );

  test("no index.ts among several is refused", async () => {
    const [finding] = await findingsOf({ "a.ts": AGENT, "b.ts": LIBRARY });
    expect(finding?.message).toBe("There is no index.ts.");
  });

  test("none at all are refused", async () => {
    expect(await findingsOf({})).toHaveLength(1);
  });

  test("too much of it is refused", async () => {
    const [finding] = await findingsOf({ "index.ts": "// long\n".repeat(200_000) });
    expect(finding?.message).toBe("1600000 bytes are more than 1048576");
    const many = Array.from({ length: 201 }, (_, i) => [`f${i}.ts`, ""] as const);
    expect((await findingsOf(Object.fromEntries(many)))[0]?.message).toContain("201 files");
  });

  test("an import cannot leave the agent's folder", async () => {
    const outside = 'import { x } from "../../package";\nimport { y } from "assemblyscript/asc";\n';
    const findings = await findingsOf({ "index.ts": outside + AGENT, "lib/text.ts": LIBRARY });
    expect(findings.filter((finding) => /not found/.test(finding.message))).toHaveLength(2);
  });
});
