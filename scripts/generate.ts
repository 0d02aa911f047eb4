/**
 * Makes src/gen from proto/ and the pages of docs/ that are made of code. With --check it writes nothing
 * and fails when something committed is not what would be made.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { format } from "prettier";

const ROOT = join(import.meta.dirname, "..");
const GENERATED = "src/gen";

type Made = readonly (readonly [path: string, content: Buffer])[];

const isCheck = process.argv.includes("--check");
const code = generatedCode();
if (!isCheck) {
  rmSync(join(ROOT, GENERATED), { recursive: true, force: true });
  write(code);
}
// Rest on the code that was just written.
const others = [...(await openApiFile()), ...(await formattedPages())];
if (isCheck) check(new Map([...code, ...others]));
else write(others);

function write(made: Made): void {
  for (const [path, content] of made) {
    mkdirSync(dirname(join(ROOT, path)), { recursive: true });
    writeFileSync(join(ROOT, path), content);
  }
}

function check(made: ReadonlyMap<string, Buffer>): void {
  const known = [...made.keys(), ...filesUnder(ROOT, GENERATED)];
  const stale = [...new Set(known)].filter((path) => {
    const content = made.get(path);
    return content === undefined || !readOrEmpty(path).equals(content);
  });
  if (stale.length === 0) return;
  console.error(`out of date: ${stale.join(", ")}: run 'npm run generate'`);
  process.exitCode = 1;
}

function generatedCode(): [string, Buffer][] {
  const scratch = mkdtempSync(join(tmpdir(), "caxton-generate-"));
  try {
    buf(scratch);
    return filesUnder(scratch, GENERATED).map((path) => [path, readFileSync(join(scratch, path))]);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** Code for every message and service, and the descriptors that server reflection hands out. */
function buf(target: string): void {
  const binaries = join(ROOT, "node_modules/.bin");
  const env = { ...process.env, PATH: `${binaries}:${process.env["PATH"] ?? ""}` };
  const run = (...args: string[]): void => {
    execFileSync(join(binaries, "buf"), args, { cwd: ROOT, env, stdio: "inherit" });
  };
  run("generate", "--output", target);
  const descriptors = join(target, GENERATED, "descriptors.binpb");
  run("build", "--as-file-descriptor-set", "--exclude-source-info", "--output", descriptors);
}

async function openApiFile(): Promise<[string, Buffer][]> {
  const { openApi } = await import("./openapi.ts");
  const text = `${JSON.stringify(openApi(), undefined, 1)}\n`;
  return [[`${GENERATED}/openapi.json`, Buffer.from(text)]];
}

async function formattedPages(): Promise<[string, Buffer][]> {
  const { generatedPages } = await import("./generated-pages.ts");
  const pages: [string, Buffer][] = [];
  for (const [path, text] of await generatedPages()) {
    pages.push([path, Buffer.from(await format(text, { parser: "markdown", printWidth: 100 }))]);
  }
  return pages;
}

function filesUnder(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .sort();
}

function readOrEmpty(path: string): Buffer {
  try {
    return readFileSync(join(ROOT, path));
  } catch {
    return Buffer.alloc(0);
  }
}
