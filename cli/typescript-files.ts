/** The files a TypeScript agent is bundled of: its own, and those of the packages it imports. */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { isAbsolute, join, relative, resolve } from "node:path";
import { buildSync } from "esbuild";
import { UsageError } from "./usage-error.ts";

const ENTRIES = ["index.ts", "index.js", "src/index.ts"];
const SOURCE = /\.(ts|js|mts|mjs|json)$/;
const PACKAGES = "node_modules/";

/** The file with onMessage, if the folder is that of a TypeScript agent. */
export function typeScriptEntry(folder: string): string | undefined {
  return ENTRIES.find((entry) => existsSync(join(folder, entry)));
}

/** Paths as the server sees them -> text. */
export function typeScriptFiles(folder: string, entry: string): Record<string, string> {
  // What lies beside a file that is deployed by its name need not belong to it.
  const own = (): string[] => (ENTRIES.includes(entry) ? [...ownFiles(folder), entry] : [entry]);
  const inputs = importedFiles(folder, entry) ?? own();
  const paths = new Set(inputs.flatMap((path) => [path, ...packageFile(path)]));
  const files: Record<string, string> = {};
  for (const path of [...paths].sort()) {
    const full = join(folder, path);
    if (existsSync(full)) files[placeOf(path)] = readFileSync(full, "utf8");
  }
  return files;
}

/** Undefined when they can't be bundled: the server says what is wrong, with every finding. */
function importedFiles(folder: string, entry: string): string[] | undefined {
  try {
    const { metafile } = buildSync({
      absWorkingDir: resolve(folder),
      entryPoints: [entry],
      bundle: true,
      write: false,
      metafile: true,
      platform: "browser",
      external: ["caxton"],
      logLevel: "silent",
      tsconfigRaw: {},
    });
    return Object.keys(metafile.inputs).map((path) => path.replace(/^\(disabled\):/, ""));
  } catch {
    return undefined;
  }
}

function ownFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((file) => file.isFile() && SOURCE.test(file.name))
    .map((file) => relative(folder, join(file.parentPath, file.name)).replaceAll("\\", "/"))
    .filter((path) => !path.split("/").some((part) => part === "node_modules" || part[0] === "."));
}

/** How a package's files are found depends on its package.json. */
function packageFile(path: string): string[] {
  const found = /^.*node_modules\/(?:@[^/]+\/)?[^/]+\//.exec(path)?.[0];
  return found === undefined ? [] : [`${found}package.json`];
}

/** Packages may lie further up, or in the store of a package manager: the server has them in one folder. */
function placeOf(path: string): string {
  const at = path.includes("/.pnpm/") ? path.lastIndexOf(PACKAGES) : path.indexOf(PACKAGES);
  if (at >= 0) return path.slice(at);
  if (path.startsWith("../") || isAbsolute(path)) {
    throw new UsageError(
      `The agent imports ${path}, which lies outside of its folder.`,
      "Move the file into the folder, or make it a package in node_modules.",
    );
  }
  return path;
}
