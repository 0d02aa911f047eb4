import { readdirSync, readFileSync } from "node:fs";
import type { Finding } from "../../../base/errors.ts";
import { compileOnThread } from "./compiler-thread.ts";

export type CompileResult =
  | { readonly kind: "compiled"; readonly wasm: Uint8Array }
  | { readonly kind: "failed"; readonly findings: readonly Finding[] };

/** What the compiler's thread is given. Paths are relative, with forward slashes. */
export interface CompileInput {
  readonly files: ReadonlyMap<string, string>;
  /** The file of `files` with onMessage. */
  readonly entry: string;
  /** The kit's modules by name without extension. */
  readonly kit: ReadonlyMap<string, string>;
}

const KIT_FOLDER = new URL("../../../../sdk/assemblyscript/caxton/", import.meta.url);

const FILES_MAX = 200;
const SOURCE_BYTES_MAX = 1024 * 1024;
const SOURCE_PATH = /^(?:[A-Za-z0-9_][A-Za-z0-9_.-]*\/)*[A-Za-z0-9_][A-Za-z0-9_.-]*\.ts$/;

/** Compiles an agent written in AssemblyScript. Never rejects for what is wrong with the source. */
export function compileAssemblyScript(files: ReadonlyMap<string, string>): Promise<CompileResult> {
  const findings = checkFiles(files);
  const entry = files.has("index.ts") ? "index.ts" : [...files.keys()][0];
  if (findings.length > 0 || entry === undefined) {
    return Promise.resolve({ kind: "failed", findings });
  }
  return compileOnThread({ files, entry, kit: readKit() });
}

function checkFiles(files: ReadonlyMap<string, string>): Finding[] {
  const findings: Finding[] = [];
  if (files.size > FILES_MAX) {
    return [{ at: "source", message: `${files.size} files are more than ${FILES_MAX}` }];
  }
  if (!files.has("index.ts") && files.size !== 1) {
    findings.push({
      at: "source",
      message: "There is no index.ts.",
      hint: "The file with onMessage is index.ts, or the only file.",
    });
  }
  let bytes = 0;
  for (const [path, text] of files) {
    bytes += Buffer.byteLength(text);
    if (!SOURCE_PATH.test(path)) {
      findings.push({
        at: path,
        message: "This is not the path of a source file.",
        hint: "Use relative paths of letters, digits, '_', '-' and '.', ending in .ts.",
      });
    }
  }
  if (bytes > SOURCE_BYTES_MAX) {
    findings.push({ at: "source", message: `${bytes} bytes are more than ${SOURCE_BYTES_MAX}` });
  }
  return findings;
}

function readKit(): Map<string, string> {
  return new Map(
    readdirSync(KIT_FOLDER)
      .filter((name) => name.endsWith(".ts"))
      .map((name) => [
        name.slice(0, -".ts".length),
        readFileSync(new URL(name, KIT_FOLDER), "utf8"),
      ]),
  );
}
