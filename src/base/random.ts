/** A seeded random number generator: xoshiro128** (Blackman and Vigna), seeded by splitmix32. */
export class SeededRandom {
  private a = 0;
  private b = 0;
  private c = 0;
  private d = 0;
  /** What it began with. */
  seed = 0;

  constructor(seed: number) {
    this.reseed(seed);
  }

  reseed(seed: number): void {
    this.seed = seed;
    let state = seed >>> 0;
    const next = (): number => {
      state = (state + 0x9e3779b9) >>> 0;
      let z = state;
      z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
      z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
      return (z ^ (z >>> 16)) >>> 0;
    };
    this.a = next();
    this.b = next();
    this.c = next();
    this.d = next() | 1;
  }

  /** In [0, 2^32). */
  nextUint32(): number {
    const s = Math.imul(this.b, 5);
    const result = Math.imul((s << 7) | (s >>> 25), 9) >>> 0;
    const t = this.b << 9;
    this.c ^= this.a;
    this.d ^= this.b;
    this.b ^= this.c;
    this.a ^= this.d;
    this.c ^= t;
    this.d = (this.d << 11) | (this.d >>> 21);
    return result;
  }

  /** In [0, 1), 53 bits. */
  nextFloat(): number {
    return (this.nextUint32() * 0x200000 + (this.nextUint32() >>> 11)) / 0x20000000000000;
  }

  /** In [0, bound). */
  below(bound: number): number {
    return Math.floor(this.nextFloat() * bound);
  }

  chance(probability: number): boolean {
    return this.nextFloat() < probability;
  }
}
