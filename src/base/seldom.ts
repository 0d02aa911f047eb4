/** For what would be said too often: true at most once in a while. */
export class Seldom {
  private readonly everyMs: number;
  private lastMs = -Infinity;

  constructor(everyMs: number) {
    this.everyMs = everyMs;
  }

  isDue(nowMs: number): boolean {
    if (nowMs - this.lastMs < this.everyMs) return false;
    this.lastMs = nowMs;
    return true;
  }
}
