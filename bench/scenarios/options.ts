import type { AgentLanguage } from "../harness/ring.ts";

/** What every scenario is told. */
export interface ScenarioOptions {
  /** Empty directory on a disk; goes afterwards. */
  readonly directory: string;
  /** Of each measurement. */
  readonly seconds: number;
  /** Says what is going on. */
  readonly say: (text: string) => void;
}

export interface RingScenarioOptions extends ScenarioOptions {
  readonly language: AgentLanguage;
  /** One measurement for each number; the first gives the figures without a suffix. */
  readonly actors: readonly number[];
  readonly inFlight: number;
}
