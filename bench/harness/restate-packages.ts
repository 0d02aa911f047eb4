/** Restate from npm, fetched when a benchmark wants it and kept in a folder of its own: it is no part of the product. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

export const SERVER_VERSION = "1.7.12";
export const SDK_VERSION = "1.17.2";
const PACKAGES = [
  `@restatedev/restate-server@${SERVER_VERSION}`,
  `@restatedev/restate-sdk@${SDK_VERSION}`,
];
const FETCH_TIMEOUT_MS = 600_000;

/** Resolves with the folder that has them in its node_modules. */
export async function restatePackages(cache: string, say: (text: string) => void): Promise<string> {
  const directory = join(cache, `restate-${SERVER_VERSION}-${SDK_VERSION}`);
  if (existsSync(directory)) return directory;
  say(`fetching ${PACKAGES.join(" and ")} into ${directory}`);
  await mkdir(cache, { recursive: true });
  // Under another name until it is complete.
  const fetched = await mkdtemp(`${directory}-`);
  try {
    await writeFile(join(fetched, "package.json"), '{ "private": true }\n');
    const quiet = [
      "--prefix",
      fetched,
      "--ignore-scripts",
      "--no-audit",
      "--no-fund",
      "--loglevel=error",
    ];
    const options = { cwd: fetched, timeout: FETCH_TIMEOUT_MS };
    await promisify(execFile)("npm", ["install", ...quiet, ...PACKAGES], options);
    await rename(fetched, directory);
  } catch (cause) {
    throw new Error(`Restate's packages can't be fetched: ${String(cause)}`, { cause });
  } finally {
    await rm(fetched, { recursive: true, force: true });
  }
  return directory;
}
