/** The upper end of the bucket in which the share of all counted samples is reached. */
export function percentileOfCounts(
  counts: readonly number[],
  share: number,
  endOf: (bucket: number) => number,
): number {
  const total = counts.reduce((a, b) => a + b, 0);
  let left = total * share;
  for (const [bucket, count] of counts.entries()) {
    left -= count;
    if (count > 0 && left <= 0) return endOf(bucket);
  }
  throw new Error("nothing was counted");
}
