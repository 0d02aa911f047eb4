/**
 * `agent deploy --watch`: deploys, and deploys again when what would be sent has changed.
 *
 * Owns the request that was sent last.
 * 1. One deployment at a time; a change during one is seen when it is done.
 * 2. A failure is printed and ends nothing.
 */
import { statSync, watch } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { ensureError } from "../src/base/errors.ts";
import type { DeployAgentRequest } from "../src/gen/caxton/v1/agent.ts";
import { CaxtonError } from "../sdk/client-ts/index.ts";
import { UsageError } from "./usage-error.ts";
import { note } from "./output.ts";
import { reportFailure } from "./failure.ts";

/** An editor saves in several steps, and people save several files. */
const QUIET_MS = 150;
/** Packages and hidden folders may be large, and tools write there. */
const IGNORED = /(^|[\\/])(node_modules|\.[^\\/]+)$/;

export async function redeployOnChange(
  path: string,
  read: () => DeployAgentRequest,
  deploy: (request: DeployAgentRequest) => Promise<void>,
): Promise<never> {
  const changes = new Changes(path);
  let last: DeployAgentRequest | undefined;
  for (;;) {
    try {
      const request = read();
      if (!isDeepStrictEqual(request, last)) {
        last = request;
        await deploy(request);
        note(`watching ${path}; Ctrl-C ends it`);
      }
    } catch (error) {
      reportFailure(error);
      note(hintFor(error) ?? `watching ${path}; the next change is tried again`);
    }
    await changes.next();
  }
}

function hintFor(error: unknown): string | undefined {
  if (!(error instanceof CaxtonError)) return undefined;
  if (error.code !== "MEMORY_STATE_WOULD_BE_LOST") return undefined;
  return [
    "The code before this change goes on running, and its actors keep their memory.",
    "To drop their memory at every change, watch with --reset-memory.",
  ].join("\n");
}

/** Owns whether anything changed since it was last asked. */
class Changes {
  #seen = Promise.withResolvers<boolean>();

  constructor(path: string) {
    const recursive = isFolder(path);
    // Editors replace files: of a single one the folder is watched.
    const folder = recursive ? path : dirname(path);
    watch(folder, { recursive, ignore: IGNORED }, () => this.#seen.resolve(true)).on(
      "error",
      reportFailure,
    );
  }

  /** Resolves when something has changed and then been left alone for a moment. */
  async next(): Promise<void> {
    do {
      await this.#seen.promise;
      this.#seen = Promise.withResolvers();
    } while (await Promise.race([this.#seen.promise, delay(QUIET_MS, false)]));
  }
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (error) {
    throw new UsageError(`Can't read ${path}: ${ensureError(error).message}`);
  }
}
