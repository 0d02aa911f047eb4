/** Runs a seed from beginning to end and says what came of it. */
import { ensureError } from "../../src/base/errors.ts";
import type { Coverage } from "./coverage.ts";
import { EXIT_CRASH, SimFailure } from "./failure.ts";
import type { ReadsAt } from "./sim-blobs.ts";
import { drawSwarm } from "./swarm.ts";
import { World } from "./world.ts";

export interface SimResult {
  readonly seed: number;
  /** Of all durable frames: the same seed gives the same. */
  readonly hash: number;
  readonly coverage: Coverage;
  readonly failure: SimFailure | undefined;
}

/** With what decides read at a follower, promises are broken. */
export function simulate(seed: number, readsAt: ReadsAt = "leader"): SimResult {
  const world = new World(drawSwarm(seed), readsAt);
  let failure: SimFailure | undefined;
  try {
    world.run();
  } catch (thrown) {
    const error = ensureError(thrown);
    failure =
      error instanceof SimFailure
        ? error
        : new SimFailure(EXIT_CRASH, error.stack ?? error.message);
  }
  return { seed, hash: world.ledger.hash, coverage: world.coverage, failure };
}
