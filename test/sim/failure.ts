/** What a run can find wrong, by the exit code it gets. */
export const EXIT_CRASH = 127;
export const EXIT_LIVENESS = 128;
export const EXIT_CORRECTNESS = 129;

export class SimFailure extends Error {
  readonly exitCode: number;

  constructor(exitCode: number, message: string) {
    super(message);
    this.name = "SimFailure";
    this.exitCode = exitCode;
  }
}

/** A promise that does not hold ends the run. */
export function promise(holds: boolean, text: () => string): asserts holds {
  if (!holds) throw new SimFailure(EXIT_CORRECTNESS, text());
}
