/**
 * What the turns of an agent cost, counted where they run and added up when somebody asks.
 *
 * Owns one array: for every figure its counts by bucket, the last without a bound, and then the sum.
 * 1. Counting a turn makes no objects: there are hundreds of thousands of turns a second.
 */
import type { Distribution, TurnCosts } from "./kernel.ts";
import { TURN_FAILED } from "./turn-batch.ts";
import type { TurnBatch } from "./turn-batch.ts";

interface Figure {
  readonly bounds: readonly number[];
  readonly offset: number;
}

const LATENCY_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 2.5, 10, 60];
const TURN_SECONDS = [0.000_01, 0.000_05, 0.000_25, 0.001, 0.005, 0.01, 0.025, 0.1, 0.25, 1, 5];
const TURN_FUEL = [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

const LATENCY = figure(LATENCY_SECONDS, 0);
const DURATION = figure(TURN_SECONDS, endOf(LATENCY));
const FUEL = figure(TURN_FUEL, endOf(DURATION));

export class TurnFigures {
  readonly values = new Float64Array(endOf(FUEL));

  /** A turn of a batch that ran, settled at that time. */
  count(batch: TurnBatch, i: number, nowMs: number): void {
    this.observe(DURATION, batch.tookMs[i]! / 1000);
    this.observe(FUEL, batch.fuel[i]!);
    const { acceptedMs } = batch.messages[i]!;
    if (batch.status[i] === TURN_FAILED || acceptedMs === 0) return;
    this.observe(LATENCY, Math.max(0, nowMs - acceptedMs) / 1000);
  }

  private observe({ bounds, offset }: Figure, value: number): void {
    let bucket = 0;
    while (bucket < bounds.length && value > bounds[bucket]!) bucket++;
    this.values[offset + bucket]! += 1;
    this.values[offset + bounds.length + 1]! += value;
  }
}

/** The costs of one agent from its counts in the partitions. */
export function turnCosts(parts: readonly Float64Array[]): TurnCosts {
  const total = new Float64Array(endOf(FUEL));
  for (const part of parts) part.forEach((value, i) => (total[i]! += value));
  return {
    latencySeconds: distribution(LATENCY, total),
    durationSeconds: distribution(DURATION, total),
    fuel: distribution(FUEL, total),
  };
}

function distribution({ bounds, offset }: Figure, values: Float64Array): Distribution {
  const sumAt = offset + bounds.length + 1;
  return { bounds, counts: [...values.subarray(offset, sumAt)], sum: values[sumAt]! };
}

function figure(bounds: readonly number[], offset: number): Figure {
  return { bounds, offset };
}

function endOf({ bounds, offset }: Figure): number {
  return offset + bounds.length + 2;
}
