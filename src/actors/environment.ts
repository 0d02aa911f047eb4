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
  readonly manifest: AgentManifest;
  /** Live memory can't be rebuilt from an image, only by replay. */
  readonly replayOnly: boolean;
}
