import { readdirSync, readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { ensureError, type Finding } from "../../../base/errors.ts";

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
const COMPILER = new URL("./assemblyscript-compiler.ts", import.meta.url);

const FILES_MAX = 200;
const SOURCE_BYTES_MAX = 1024 * 1024;
const COMPILE_TIMEOUT_MS = 60_000;
const COMPILER_HEAP_MIB_MAX = 1024;
const FINDINGS_MAX = 50;
const SOURCE_PATH = /^(?:[A-Za-z0-9_][A-Za-z0-9_.-]*\/)*[A-Za-z0-9_][A-Za-z0-9_.-]*\.ts$/;

/** Compilations run one after the other: each takes a core and much memory. */
let lastCompilation: Promise<unknown> = Promise.resolve();

/** Compiles an agent written in AssemblyScript. Never rejects for what is wrong with the source. */
export function compileAssemblyScript(files: ReadonlyMap<string, string>): Promise<CompileResult> {
  const findings = checkFiles(files);
  const entry = files.has("index.ts") ? "index.ts" : [...files.keys()][0];
  if (findings.length > 0 || entry === undefined) {
    return Promise.resolve({ kind: "failed", findings });
  }
  const compilation = lastCompilation.then(() => runCompiler({ files, entry, kit: readKit() }));
  lastCompilation = compilation.catch(() => undefined);
  return compilation;
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
      .map((name) => [name.slice(0, -".ts".length), readFileSync(new URL(name, KIT_FOLDER), "utf8")]),
  );
}

function runCompiler(input: CompileInput): Promise<CompileResult> {
  const failed = (message: string): CompileResult => ({
    kind: "failed",
    findings: [{ at: input.entry, message }],
  });
  return new Promise((resolve) => {
    const worker = new Worker(COMPILER, {
      workerData: input,
      resourceLimits: { maxOldGenerationSizeMb: COMPILER_HEAP_MIB_MAX },
      // A crash of the compiler prints its own report.
      stdout: true,
      stderr: true,
    });
    const settle = (result: CompileResult) => {
      clearTimeout(timer);
      resolve(result);
      void worker.terminate();
    };
    const timer = setTimeout(
      () => settle(failed(`compiling took longer than ${COMPILE_TIMEOUT_MS} ms`)),
      COMPILE_TIMEOUT_MS,
    );
    worker.once("message", (result: CompileResult) => settle(bounded(result)));
    worker.once("error", (thrown) => settle(failed(ensureError(thrown).message)));
    worker.once("exit", () => settle(failed("the compiler crashed on this source")));
  });
}

function bounded(result: CompileResult): CompileResult {
  return result.kind === "failed"
    ? { kind: "failed", findings: result.findings.slice(0, FINDINGS_MAX) }
    : result;
}
