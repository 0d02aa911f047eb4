/** What `agent deploy` sends for a file or folder: the manifest, and a module or its sources. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, extname, join, relative, resolve } from "node:path";
import { type Document, parseDocument } from "yaml";
import { ensureError } from "../src/base/errors.ts";
import type { DeployAgentRequest } from "../src/gen/caxton/v1/agent.ts";
import { UsageError } from "./usage-error.ts";
import { typeScriptEntry, typeScriptFiles } from "./typescript-files.ts";

export interface DeployOptions {
  readonly name?: string;
  readonly namespace?: string;
  readonly manifest?: string;
  /** Of a single source file: `ts` (also for JavaScript) or `as`. */
  readonly lang?: "ts" | "as";
}

type Source = NonNullable<DeployAgentRequest["source"]>;

const MANIFEST_FILE = "agent.yaml";
const SOURCE_FOLDER = "assembly";

export function readAgent(
  path: string,
  options: DeployOptions,
): { manifest: string; source: Source } {
  const isFolder = reading(path, () => statSync(path).isDirectory());
  const source = isFolder ? folderSource(path) : fileSource(path, options);
  const manifestFile = options.manifest ?? (isFolder ? join(path, MANIFEST_FILE) : undefined);
  const manifest =
    manifestFile === undefined
      ? defaultManifest(options.name ?? nameFrom(path))
      : reading(manifestFile, () => readFileSync(manifestFile, "utf8"));
  return { manifest: renamed(manifest, options), source };
}

function fileSource(file: string, { lang = "ts" }: DeployOptions): Source {
  switch (extname(file)) {
    case ".wasm":
      return { $case: "module", value: reading(file, () => readFileSync(file)) };
    case ".ts":
    case ".js":
      return lang === "as"
        ? assemblyScript({ [basename(file)]: reading(file, () => readFileSync(file, "utf8")) })
        : typeScript(dirname(file), basename(file));
    default:
      throw new UsageError(
        `${file} is neither a .wasm module nor a .ts or .js source.`,
        "Give such a file, or a folder with agent.yaml.",
      );
  }
}

function folderSource(folder: string): Source {
  const modules = filesIn(folder).filter((file) => file.endsWith(".wasm"));
  const sources = filesIn(join(folder, SOURCE_FOLDER), true).filter((file) => file.endsWith(".ts"));
  const entry = typeScriptEntry(folder);
  const [module, another] = modules;
  if (another !== undefined) {
    throw new UsageError(`${folder} holds several modules: ${modules.join(", ")}.`, "Leave one.");
  }
  const kinds = [
    ...(module === undefined ? [] : [module]),
    ...(sources.length > 0 ? [`sources in ${SOURCE_FOLDER}/`] : []),
    ...(entry === undefined ? [] : [entry]),
  ];
  if (kinds.length > 1) {
    throw new UsageError(
      `${folder} holds both ${kinds.join(" and ")}.`,
      "Leave one, or deploy the file with --manifest.",
    );
  }
  if (module !== undefined) return fileSource(join(folder, module), {});
  if (entry !== undefined) return typeScript(folder, entry);
  if (sources.length > 0) {
    const root = join(folder, SOURCE_FOLDER);
    const read = (file: string): string => readFileSync(join(root, file), "utf8");
    return reading(root, () =>
      assemblyScript(Object.fromEntries(sources.map((file) => [file, read(file)]))),
    );
  }
  throw new UsageError(
    `${folder} holds nothing to deploy.`,
    `Put index.ts or a .wasm file beside ${MANIFEST_FILE}, or AssemblyScript sources into ${SOURCE_FOLDER}/.`,
  );
}

function assemblyScript(files: Record<string, string>): Source {
  return { $case: "bundle", value: { language: "assemblyscript", files } };
}

function typeScript(folder: string, entry: string): Source {
  const files = reading(join(folder, entry), () => {
    statSync(join(folder, entry));
    return typeScriptFiles(folder, entry);
  });
  return { $case: "bundle", value: { language: "typescript", files } };
}

/** Paths relative to the folder, `/` between parts, in a fixed order; none when there is no folder. */
function filesIn(folder: string, recursive = false): string[] {
  const root = resolve(folder);
  const entries = statSync(root, { throwIfNoEntry: false })?.isDirectory()
    ? readdirSync(root, { withFileTypes: true, recursive })
    : [];
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
    .sort();
}

function nameFrom(path: string): string {
  const name = basename(path, extname(path))
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, "-")
    .slice(0, 63);
  if (/^-*$/.test(name))
    throw new UsageError(`${path} gives no name for the agent.`, "Use --name.");
  return name;
}

function defaultManifest(name: string): string {
  return `apiVersion: caxton/v1\nkind: Agent\nmetadata:\n  name: ${JSON.stringify(name)}\n`;
}

function renamed(manifest: string, { name, namespace }: DeployOptions): string {
  if (name === undefined && namespace === undefined) return manifest;
  const document: Document = parseDocument(manifest);
  // A manifest that can't be read is the server's to refuse, with every finding.
  if (document.errors.length > 0) return manifest;
  if (name !== undefined) document.setIn(["metadata", "name"], name);
  if (namespace !== undefined) document.setIn(["metadata", "namespace"], namespace);
  return String(document);
}

function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`Can't read ${path}: ${ensureError(error).message}`);
  }
}
