/** What an agent's files may import: one another, packages sent along, and "caxton". */
import { readFile } from "node:fs/promises";
import { builtinModules } from "node:module";
import { sep } from "node:path";
import type { OnResolveResult, Plugin } from "esbuild";

const RUNTIME = new URL("../../../../sdk/agent/runtime/", import.meta.url);
const NAMESPACE = "caxton";

/** Whoever deploys names files of this folder alone, whatever paths his sources spell. */
export function agentFiles(folder: string): Plugin {
  return {
    name: "agent-files",
    setup(build) {
      build.onResolve({ filter: /^caxton(:|$)/ }, ({ path }) => runtimeFile(path));
      build.onResolve({ filter: /^\.\//, namespace: NAMESPACE }, ({ path }) => ({
        path: path.slice(2),
        namespace: NAMESPACE,
      }));
      build.onLoad({ filter: /.*/, namespace: NAMESPACE }, async ({ path }) => ({
        contents: await readFile(new URL(path, RUNTIME), "utf8"),
        loader: "ts",
      }));
      build.onResolve(
        { filter: /.*/ },
        async ({ path, importer, resolveDir, kind, pluginData }) => {
          const isBuiltin = path.startsWith("node:") || builtinModules.includes(path);
          if (!isBuiltin || pluginData === "retried") return undefined;
          // A package may have the name of one.
          const options = { importer, resolveDir, kind, pluginData: "retried" };
          const found = path.startsWith("node:") ? undefined : await build.resolve(path, options);
          return found !== undefined && found.errors.length === 0 ? found : refuseBuiltin(path);
        },
      );
      build.onLoad({ filter: /.*/, namespace: "file" }, ({ path }) =>
        path.startsWith(folder + sep)
          ? undefined
          : { errors: [{ text: `${path} is not a file of the agent` }] },
      );
    },
  };
}

function runtimeFile(path: string): OnResolveResult {
  const file = path === "caxton" ? "index.ts" : path.slice("caxton:".length);
  return { path: file, namespace: NAMESPACE };
}

function refuseBuiltin(path: string): OnResolveResult {
  const text = `"${path}" is part of Node.js, which agents don't run on`;
  const note =
    "Agents have no files, network or processes: use what ctx offers, or another package.";
  return { errors: [{ text, notes: [{ text: note }] }] };
}
