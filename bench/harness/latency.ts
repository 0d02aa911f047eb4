/** How long calls take, as whoever makes them sees it. */
export type Call = () => Promise<void>;

export interface Load {
  readonly samplesMs: number[];
  readonly perSecond: number;
}

export async function inTurn(calls: number, call: Call): Promise<number[]> {
  const samplesMs: number[] = [];
  for (let i = 0; i < calls; i++) samplesMs.push(await timed(call));
  return samplesMs;
}

/** Every lane makes one call after the other. */
export async function atOnce(seconds: number, lanes: readonly Call[]): Promise<Load> {
  const samplesMs: number[] = [];
  const start = performance.now();
  const end = start + seconds * 1000;
  const run = async (call: Call): Promise<void> => {
    while (performance.now() < end) samplesMs.push(await timed(call));
  };
  await Promise.all(lanes.map(run));
  const elapsedMs = performance.now() - start;
  return { samplesMs, perSecond: samplesMs.length / (elapsedMs / 1000) };
}

async function timed(call: Call): Promise<number> {
  const start = performance.now();
  await call();
  return performance.now() - start;
}
