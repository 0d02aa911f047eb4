/**
 * The AssemblyScript compiler on its thread: one input in, one result out. It sees the author's files and
 * the kit: no disk, no network.
 */
import { libraryFiles, main, type Diagnostic } from "assemblyscript/asc";
import { parentPort } from "node:worker_threads";
import type { Finding } from "../../../base/errors.ts";
import type { CompileInput, CompileResult } from "./assemblyscript.ts";

const ENTRY_FILE = "caxton-entry.ts";
const WASM_FILE = "agent.wasm";
const CATEGORY_ERROR = 3;
const FINDINGS_MAX = 50;

/** The exports of the ABI round the author's onMessage. */
const entrySource = (module: string) => `
import { allocate, received, result } from "caxton/abi";
import { onMessage } from "./${module}";
export * from "./${module}";
export function caxton_alloc(bytes: i32): i32 {
  return allocate(bytes);
}
export function caxton_handle(at: i32, bytes: i32): i32 {
  onMessage(received(at));
  return result();
}
`;

const OPTIONS = [
  ...["--optimizeLevel", "3", "--shrinkLevel", "0", "--runtime", "incremental", "--noColors"],
  // What would otherwise be imports that an agent does not get.
  ...["--use", "abort=~lib/caxton/abort/abort", "--use", "console=~lib/caxton/index/console"],
];

/** The compiler's library takes time and chance from a browser; here they come from the turn. */
function useHostClock(): void {
  const redirect = (file: string, from: string, to: string): void => {
    const source = libraryFiles[file];
    if (!source?.includes(from)) throw new Error(`the compiler's library has no ${from}`);
    libraryFiles[file] = source.replace(from, to);
  };
  redirect("bindings/dom", '@external("env", "Date.now")', '@external("caxton", "now")');
  redirect("builtins", '@external("env", "seed")', '@external("caxton", "random")');
}

function toFinding({ message, range }: Diagnostic, input: CompileInput): Finding {
  const file = range?.source?.normalizedPath;
  const source = input.files.get(file ?? "");
  if (source === undefined || range === null) {
    // It shows in code around the author's, so the author's onMessage does not fit it.
    return {
      at: input.entry,
      message,
      hint: "The entry file has to hold: export function onMessage(message: Message): void",
    };
  }
  const before = source.slice(0, range.start).split("\n");
  return { at: `${file!}:${before.length}:${before.at(-1)!.length + 1}`, message };
}

async function compile(input: CompileInput): Promise<CompileResult> {
  const files = new Map(input.files).set(ENTRY_FILE, entrySource(input.entry.replace(/\.ts$/, "")));
  for (const [name, source] of input.kit) libraryFiles[`caxton/${name}`] = source;

  const findings: Finding[] = [];
  let wasm: Uint8Array | undefined;
  const { error } = await main([ENTRY_FILE, "--outFile", WASM_FILE, ...OPTIONS], {
    readFile: (name) => files.get(name) ?? null,
    writeFile: (name, contents) => {
      if (name === WASM_FILE && typeof contents !== "string") wasm = contents;
    },
    listFiles: () => [],
    reportDiagnostic: (diagnostic) => {
      if (diagnostic.category !== CATEGORY_ERROR || findings.length === FINDINGS_MAX) return;
      findings.push(toFinding(diagnostic, input));
    },
  });
  if (wasm !== undefined && error === null) return { kind: "compiled", wasm };
  if (findings.length === 0) {
    findings.push({ at: input.entry, message: error?.message ?? "the compiler gave no module" });
  }
  return { kind: "failed", findings };
}

useHostClock();
const port = parentPort!;
port.on("message", (input: CompileInput) => {
  void compile(input).then((result) => port.postMessage(result));
});
