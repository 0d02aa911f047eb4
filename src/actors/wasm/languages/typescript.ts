/** Agents in TypeScript and JavaScript: their files become one program for QuickJS. */
import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { BuildOptions, Message, OutputFile } from "esbuild";
import type { Finding } from "../../../base/errors.ts";
import { PROGRAM_FILE } from "../quickjs/quickjs-guest.ts";
import { agentFiles } from "./typescript-imports.ts";

export type BundleResult =
  | {
      readonly kind: "bundled";
      readonly program: Uint8Array;
      /** Without the sources' content. */
      readonly sourceMap: string;
      /** What the entry file exports. */
      readonly exports: readonly string[];
    }
  | { readonly kind: "failed"; readonly findings: readonly Finding[] };

const ENTRIES = ["index.ts", "index.js", "src/index.ts"];
const FILES_MAX = 5000;
/** What QuickJS has. */
const TARGET = "es2023";

let builds = 0;

/** Never rejects for what is wrong with the source. */
export async function bundleTypeScript(
  files: ReadonlyMap<string, string>,
  bundleBytesMax: number,
): Promise<BundleResult> {
  const own = [...files.keys()].filter((path) => !path.startsWith("node_modules/"));
  const entry = ENTRIES.find((path) => files.has(path)) ?? (own.length === 1 ? own[0] : undefined);
  const findings = checkFiles(files, entry);
  if (findings.length > 0 || entry === undefined) return { kind: "failed", findings };
  const folder = await mkdtemp(join(tmpdir(), "caxton-bundle-"));
  try {
    for (const [path, text] of files) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), text);
    }
    return await bundle(folder, entry, bundleBytesMax);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function checkFiles(files: ReadonlyMap<string, string>, entry: string | undefined): Finding[] {
  if (files.size > FILES_MAX) {
    return [{ at: "source", message: `${files.size} files are more than ${FILES_MAX}.` }];
  }
  if (entry !== undefined) return [];
  const hint = `The file with onMessage is ${ENTRIES.join(" or ")}, or the only file.`;
  return [{ at: "source", message: "There is no entry file.", hint }];
}

async function bundle(folder: string, entry: string, bytesMax: number): Promise<BundleResult> {
  // Not at the top: a server without such agents need not load it.
  const { build, stop } = await import("esbuild");
  builds++;
  try {
    const options = optionsFor(folder, entry);
    const result = await build({ ...options, logLevel: "silent" });
    const [sourceMap, program] = result.outputFiles as [OutputFile, OutputFile];
    if (program.contents.length <= bytesMax) {
      const { stdin: _, ...plain } = options;
      const entryPoints = [join(folder, entry)];
      // A script has no exports: the entry file is looked at as a module.
      const module = { entryPoints, format: "esm", metafile: true, logLevel: "silent" } as const;
      const { metafile } = await build({ ...plain, ...module });
      const exports = Object.values(metafile.outputs).flatMap((output) => output.exports);
      return { kind: "bundled", program: program.contents, sourceMap: sourceMap.text, exports };
    }
    const message = `The bundle has ${program.contents.length} bytes; limits.bundleBytesMax is ${bytesMax}.`;
    const hint = "Import less, or raise the limit in the server's configuration.";
    return { kind: "failed", findings: [{ at: entry, message, hint }] };
  } catch (error) {
    const { errors } = error as { errors?: readonly Message[] };
    if (errors === undefined) throw error;
    return { kind: "failed", findings: errors.map(findingOf) };
  } finally {
    builds--;
    // Its process would outlive the deployment.
    if (builds === 0) void stop();
  }
}

function optionsFor(folder: string, entry: string) {
  return {
    absWorkingDir: folder,
    stdin: {
      contents: `import { serve } from "caxton:serve.ts"; import * as agent from "./${entry}"; serve(agent);`,
      resolveDir: folder,
      sourcefile: "caxton:entry",
    },
    outfile: join(folder, PROGRAM_FILE),
    bundle: true,
    write: false,
    format: "iife",
    platform: "browser",
    target: TARGET,
    sourcemap: "external",
    sourcesContent: false,
    charset: "utf8",
    legalComments: "none",
    define: { "process.env.NODE_ENV": '"production"' },
    tsconfigRaw: {},
    plugins: [agentFiles(folder)],
  } as const satisfies BuildOptions;
}

function findingOf({ text, location, notes }: Message): Finding {
  const at =
    location === null ? "source" : `${location.file}:${location.line}:${location.column + 1}`;
  const missing = /^Could not resolve "([^./][^"]*)"/.exec(text)?.[1];
  if (missing !== undefined) {
    const hint = `Install the package beside the agent (npm install ${missing}) and deploy its folder: what it imports is sent along.`;
    return { at, message: `${text}.`, hint };
  }
  const [note] = notes;
  return note === undefined ? { at, message: text } : { at, message: text, hint: note.text };
}

/** The module all such agents run in. */
export function readQuickJs(): Uint8Array {
  return readFileSync(new URL(import.meta.resolve("quickjs-wasi/quickjs.wasm")));
}
