/** The value below which the share of the samples lies; sorts the samples. */
export function percentile(samples: number[], share: number): number {
  if (samples.length === 0) throw new Error("there are no samples");
  samples.sort((a, b) => a - b);
  return samples[Math.min(samples.length - 1, Math.floor(samples.length * share))]!;
}

export const median = (samples: number[]): number => percentile(samples, 0.5);
