/** However much is asked for at once, servers are asked for a bounded amount. */
import { expect, test } from "vitest";
import { FrameReads } from "../../src/storage/jetstream/frame-reads.ts";

const MB = 1024 * 1024;

function reader() {
  const waiting: (() => void)[] = [];
  let asked = 0;
  const ask = (): Promise<Uint8Array> => {
    asked++;
    return new Promise((resolve) => waiting.push(() => resolve(new Uint8Array(1))));
  };
  /** Answers everything that is asked for, and what is asked for then. */
  const answerAll = async (): Promise<number> => {
    let most = 0;
    while (waiting.length > 0) {
      most = Math.max(most, waiting.length);
      for (const answer of waiting.splice(0)) answer();
      await new Promise(setImmediate);
    }
    return most;
  };
  return { ask, answerAll, asked: () => asked };
}

test("large frames are read a few at a time, small ones many, and all of them in the end", async () => {
  for (const [bytes, most] of [
    [MB, 8],
    [100, 64],
    [20 * MB, 1],
  ] as const) {
    const reads = new FrameReads();
    const { ask, answerAll } = reader();
    const all = Promise.all(Array.from({ length: 500 }, () => reads.read(bytes, ask)));
    expect(await answerAll()).toBe(most);
    expect(await all).toHaveLength(500);
  }
});

test("what is shared is asked for once, while it is on its way and after", async () => {
  const reads = new FrameReads();
  const { ask, answerAll, asked } = reader();
  const first = Promise.all(Array.from({ length: 50 }, () => reads.shared("a", MB, ask)));
  await answerAll();
  await first;
  await reads.shared("a", MB, ask);
  expect(asked()).toBe(1);
  // Forty others push it out.
  const others = Array.from({ length: 40 }, (_, i) => reads.shared(`b${i}`, MB, ask));
  await answerAll();
  await Promise.all(others);
  const again = reads.shared("a", MB, ask);
  await answerAll();
  await again;
  expect(asked()).toBe(42);
});

test("a read that failed is asked for again", async () => {
  const reads = new FrameReads();
  await expect(reads.shared("a", 1, () => Promise.reject(new Error("away")))).rejects.toThrow();
  expect(await reads.shared("a", 1, () => Promise.resolve(new Uint8Array(3)))).toHaveLength(3);
});
