/**
 * What a run is like, drawn from its seed: size, load, limits, and which faults there are. Runs without any
 * fault and runs with one kind only find what a mixture hides.
 */
import type { NodeLimits, SnapshotConfig } from "../../src/base/config-schema.ts";
import { SeededRandom } from "../../src/base/random.ts";

export const FAULTS = [
  "acksLost",
  "appendsUnknown",
  "appendsRefused",
  "kills",
  "powerLosses",
  "workerKills",
  "takeovers",
  "cleanRestarts",
  "clockJumps",
  "stalls",
  "leaderLosses",
  "tailLosses",
  "poison",
  "operator",
] as const;
export type Fault = (typeof FAULTS)[number];

export interface Swarm {
  readonly seed: number;
  readonly partitions: number;
  /** How many the partitions share: each loses its own tail. */
  readonly streams: number;
  readonly workers: number;
  readonly keys: number;
  readonly requests: number;
  /** Messages of clients that send by the stream. */
  readonly streamed: number;
  readonly loadMs: number;
  /** Chance of each fault where it can strike; faults that are off are missing. */
  readonly faults: ReadonlySet<Fault>;
  readonly faultEveryMs: number;
  readonly appendMs: number;
  readonly limits: NodeLimits;
  readonly snapshots: SnapshotConfig;
  readonly mailboxMessagesMax: number;
  readonly mailboxBytesMax: number;
  readonly attemptsMax: number;
  readonly restartsMax: number;
  readonly drainMs: number;
  /** Chance that a handler has a fault of its own. */
  readonly badHandlers: number;
  /** Whether actors are there whose replay differs. */
  readonly drifters: boolean;
  readonly crashIntentsMax: number;
}

/** A stream of its own per purpose: a draw more in one does not shift the others. */
export function fork(seed: number, purpose: string): SeededRandom {
  let hash = 0x811c9dc5 ^ seed;
  for (let i = 0; i < purpose.length; i++) {
    hash = Math.imul(hash ^ purpose.charCodeAt(i), 0x01000193);
  }
  return new SeededRandom((hash ^ Math.imul(seed, 0x9e3779b1)) >>> 0);
}

export function pick<T>(random: SeededRandom, items: readonly T[]): T {
  return items[random.below(items.length)]!;
}

export function drawSwarm(seed: number): Swarm {
  const random = fork(seed, "swarm");
  const partitions = pick(random, [2, 4, 8]);
  const frameBytesMax = pick(random, [12_288, 24_576, 131_072]);
  const crashIntentsMax = pick(random, [1, 2, 3]);
  const tight = random.chance(0.4);
  const loadMs = pick(random, [200, 2000, 8000]);
  return {
    seed,
    partitions,
    streams: pick(random, [1, 2]),
    workers: pick(
      random,
      [1, 2, 3, 4].filter((n) => n <= partitions),
    ),
    keys: pick(random, [1, 3, 8, 20]),
    requests: pick(random, [10, 25, 60]),
    streamed: pick(random, [0, 10, 40]),
    loadMs,
    faults: drawFaults(random),
    faultEveryMs: loadMs / pick(random, [4, 12, 30]),
    appendMs: pick(random, [0.2, 1, 5, 30]),
    limits: {
      messageBytesMax: 4096,
      effectsBytesMax: 8192,
      frameBytesMax,
      bundleBytesMax: 1,
      moduleBytesMax: 1024,
      inflightBytesMax: 1_048_576,
      subscriberBytesMax: 65_536,
      agentLogBytesMax: 65_536,
      clientIdsMax: tight ? pick(random, [4, 16]) : 100_000,
      clientIdBytesMax: 1_048_576,
      dedupWindowMs: tight ? 1000 : pick(random, [1000, 120_000, 120_000]),
      deadLettersMax: tight ? pick(random, [3, 20]) : 10_000,
      deadLetterBytesMax: 1_048_576,
      outboxBytesMax: tight ? 4096 : 1_048_576,
      askChainMax: pick(random, [2, 32]),
      residentActorsMax: 1000,
      crashIntentsMax,
    },
    snapshots: {
      turnsMax: pick(random, [3, 20, 1000]),
      logBytesMax: pick(random, [4096, 65_536, 1_000_000]),
      intervalMs: pick(random, [20, 500, 60_000]),
      idleMs: 1_000_000,
    },
    mailboxMessagesMax: tight ? pick(random, [2, 8]) : 1000,
    mailboxBytesMax: tight ? pick(random, [6000, 100_000]) : 1_000_000,
    attemptsMax: pick(random, [1, 3]),
    restartsMax: pick(random, [0, 4, 1000]),
    drainMs: pick(random, [0, 50, 5000]),
    badHandlers: pick(random, [0, 0.05, 0.3]),
    drifters: random.chance(0.15),
    crashIntentsMax,
  };
}

function drawFaults(random: SeededRandom): ReadonlySet<Fault> {
  const kind = random.nextFloat();
  if (kind < 0.1) return new Set();
  if (kind < 0.45) return new Set([pick(random, FAULTS)]);
  return new Set(FAULTS.filter(() => random.chance(0.4)));
}
