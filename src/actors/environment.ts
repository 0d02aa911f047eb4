import type { AgentManifest } from "./manifest.ts";

/**
 * Everything besides its messages that a turn's outcome depends on. Immutable and numbered: a turn names
 * the environment it ran in, and replay runs it in the same one for as long as it is referenced.
 */
export interface Environment {
  readonly id: number;
  /** `namespace/name`. */
  readonly agent: string;
  readonly version: string;
  /** SHA-256 of the rewritten module, the key of its blob. */
  readonly moduleSha256: string;
  /** Key of the blob that instances of the module start from, see LoadedModule. */
  readonly templateSha256: string | undefined;
  readonly manifest: AgentManifest;
  /** Live memory can't be rebuilt from an image, only by replay. */
  readonly replayOnly: boolean;
  /**
   * Sends carry the trace of their turn on. Environments made before that was so have it not: a replay gives
   * the bytes there were.
   */
  readonly carriesTrace?: boolean;
}

/** Names what instances start from: a template is bound to its module. */
export function startOf(environment: Environment): string {
  return environment.templateSha256 ?? environment.moduleSha256;
}
