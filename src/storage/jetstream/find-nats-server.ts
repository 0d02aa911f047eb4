/** Where the nats-server is that a node starts: CAXTON_NATS_SERVER, PATH, or what scripts/nats-server.sh fetched. */
import { execFile } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { CaxtonError, ensureError } from "../../base/errors.ts";
import { isNewEnough, NATS_VERSION_MIN } from "./server-version.ts";

const run = promisify(execFile);
const ANSWER_MS_MAX = 10_000;
const FETCHED = join(import.meta.dirname, "../../../.cache/nats-server");

/** Rejects with NATS_SERVER_FAILED and says of each place what is there. */
export async function findNatsServer(
  env: Readonly<Record<string, string | undefined>>,
  fetched = FETCHED,
): Promise<string> {
  const given = env["CAXTON_NATS_SERVER"];
  const found: string[] = [];
  const candidates =
    given === undefined || given === ""
      ? [...onPath(env["PATH"] ?? ""), ...fetchedOnes(fetched)]
      : [given];
  for (const path of candidates) {
    const version = await versionOf(path);
    if (isNewEnough(version)) return path;
    found.push(`${path} is ${version}`);
  }
  const what = found.length > 0 ? found.join(", ") : "there is none";
  const text = `No nats-server of ${NATS_VERSION_MIN} or newer: ${what}.`;
  throw new CaxtonError("NATS_SERVER_FAILED", text);
}

function onPath(path: string): string[] {
  const files = path.split(":").map((folder) => join(folder, "nats-server"));
  return files.filter((file) => existsSync(file)).slice(0, 1);
}

function fetchedOnes(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).map((version) => join(folder, version, "nats-server"));
}

/** As the program says it; what went wrong where it says none. */
async function versionOf(path: string): Promise<string> {
  try {
    const { stdout } = await run(path, ["--version"], { timeout: ANSWER_MS_MAX });
    return /^nats-server: v(\S+)/.exec(stdout)?.[1] ?? "no nats-server";
  } catch (error) {
    return `not to be run (${ensureError(error).message.trim()})`;
  }
}
