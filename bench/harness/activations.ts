/** What the server's metrics say about memory it brought back, which a live actor never needs. */
import { percentileOfCounts } from "./histogram.ts";

const ACTIVATION = "caxton_activation_seconds";
const REPLAYED = "caxton_turns_replayed_total";
const SAMPLE = /^(\w+)(?:\{(.*)\})? (\S+)$/gm;
const BUCKET_END = /\ble="([^"]+)"/;

export interface Activations {
  /** Activations and turns replayed: moves with every memory that comes back from the store. */
  readonly signs: number;
  /** Activations that took at most so many seconds. */
  readonly cumulative: ReadonlyMap<number, number>;
}

export async function readActivations(httpEndpoint: string): Promise<Activations> {
  const response = await fetch(`http://${httpEndpoint}/metrics`);
  let signs = 0;
  const cumulative = new Map<number, number>();
  for (const [, name, labels = "", text] of (await response.text()).matchAll(SAMPLE)) {
    const value = Number(text);
    if (name === REPLAYED || name === `${ACTIVATION}_count`) signs += value;
    if (name !== `${ACTIVATION}_bucket`) continue;
    const endSeconds = Number(BUCKET_END.exec(labels)![1]!.replace("+Inf", "Infinity"));
    cumulative.set(endSeconds, (cumulative.get(endSeconds) ?? 0) + value);
  }
  return { signs, cumulative };
}

/** By the server's own clock; undefined for a server that doesn't time activations. */
export function activationP50Us(before: Activations, after: Activations): number | undefined {
  const ends = [...after.cumulative.keys()].sort((a, b) => a - b);
  const upTo = ends.map((end) => after.cumulative.get(end)! - (before.cumulative.get(end) ?? 0));
  if ((upTo.at(-1) ?? 0) === 0) return undefined;
  const counts = upTo.map((activations, i) => activations - (upTo[i - 1] ?? 0));
  return percentileOfCounts(counts, 0.5, (bucket) => ends[bucket]! * 1e6);
}
