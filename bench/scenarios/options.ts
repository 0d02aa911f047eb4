import type { CounterKind } from "../harness/counter.ts";
import type { NatsServer } from "../harness/nats-server.ts";
import type { AgentLanguage, Durability } from "../harness/ring.ts";

/** What every scenario is told. */
export interface ScenarioOptions {
  /** Empty directory on a disk; goes afterwards. */
  readonly directory: string;
  /** Of each measurement. */
  readonly seconds: number;
  /** What storage is on; none where it is embedded. */
  readonly nats: readonly NatsServer[];
  /** Says what is going on. */
  readonly say: (text: string) => void;
}

export interface RingLoadOptions extends ScenarioOptions {
  readonly language: AgentLanguage;
  readonly inFlight: number;
}

export interface RingScenarioOptions extends RingLoadOptions {
  /** One measurement for each number; the first gives the figures without a suffix. */
  readonly actors: readonly number[];
}

export interface CoresOptions extends RingLoadOptions {
  readonly actors: number;
  readonly durability: readonly Durability[];
}

export interface CounterScenarioOptions extends ScenarioOptions {
  /** Actors of each kind; 0 leaves the kind out. */
  readonly actors: Readonly<Record<CounterKind, number>>;
}

/** All figures, kind by kind. */
export async function eachKind(
  { actors }: CounterScenarioOptions,
  measure: (kind: CounterKind, actors: number) => Promise<Record<string, number>>,
): Promise<Record<string, number>> {
  const figures: Record<string, number> = {};
  for (const kind of ["small", "js"] as const) {
    if (actors[kind] > 0) Object.assign(figures, await measure(kind, actors[kind]));
  }
  return figures;
}

export interface RecoverOptions extends ScenarioOptions {
  readonly actors: number;
  /** Of each actor. */
  readonly turns: number;
  /** Of all actors, for the rate of replay. */
  readonly tailTurns: number;
}

export interface PeerOptions extends ScenarioOptions {
  /** Folder for packages that are fetched; stays. */
  readonly cache: string;
}

export interface NativeOptions extends ScenarioOptions {
  /** To publish. */
  readonly messages: number;
  /** Of each message. */
  readonly payloadBytes: number;
}

export interface FailoverOptions extends ScenarioOptions {
  /** Kills of the leader, for each place where the node may be connected. */
  readonly rounds: number;
  /** Messages to the node, and plain ones. */
  readonly perSecond: number;
}

export interface SoakOptions extends ScenarioOptions {
  readonly actors: number;
  /** Messages that one ask leads to. */
  readonly visits: number;
}
