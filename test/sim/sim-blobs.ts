/**
 * The blobs of a run.
 *
 * Owns them and what happened to them in order, as a stream has it.
 * 1. A follower shows what the leader had a while ago: it lacks new blobs, and has some that were deleted.
 */
import { createHash } from "node:crypto";
import type { SeededRandom } from "../../src/base/random.ts";
import type { Coverage } from "./coverage.ts";
import { promise } from "./failure.ts";

/** Which server answers a read. Only the leader has everything. */
export type ReadsAt = "leader" | "follower";

export const FOLLOWER_LAG_MS_MAX = 200;

interface Blob {
  readonly content: Buffer;
  readonly storedAtMs: number;
  deletedAtMs: number;
}

export class SimBlobs {
  private readonly random: SeededRandom;
  private readonly coverage: Coverage;
  private readonly nowMs: () => number;
  private readonly blobs = new Map<string, Blob>();

  constructor(random: SeededRandom, coverage: Coverage, nowMs: () => number) {
    this.random = random;
    this.coverage = coverage;
    this.nowMs = nowMs;
  }

  put(content: Uint8Array): string {
    const sha256 = createHash("sha256").update(content).digest("hex");
    const known = this.blobs.get(sha256);
    if (known !== undefined && known.deletedAtMs === Infinity) return sha256;
    const blob = { content: Buffer.from(content), storedAtMs: this.nowMs(), deletedAtMs: Infinity };
    this.blobs.set(sha256, blob);
    return sha256;
  }

  get(sha256: string, at: ReadsAt): Buffer | undefined {
    const blob = this.blobs.get(sha256);
    const lagMs = at === "leader" ? 0 : this.random.nextFloat() * FOLLOWER_LAG_MS_MAX;
    const shownMs = this.nowMs() - lagMs;
    if (blob === undefined || blob.storedAtMs > shownMs || blob.deletedAtMs <= shownMs) {
      return undefined;
    }
    return blob.content;
  }

  delete(sha256: string): void {
    const blob = this.blobs.get(sha256);
    promise(blob?.deletedAtMs === Infinity, () => `blob ${sha256} was deleted and is not there`);
    blob.deletedAtMs = this.nowMs();
    this.coverage.hit("blob deleted");
  }

  /** The power fails: what was stored after that moment is gone, what was deleted is there again. */
  undoSince(atMs: number): void {
    for (const [sha256, blob] of this.blobs) {
      if (blob.storedAtMs > atMs) this.blobs.delete(sha256);
      else if (blob.deletedAtMs > atMs) blob.deletedAtMs = Infinity;
    }
  }
}
