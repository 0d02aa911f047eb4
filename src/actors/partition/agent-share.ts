import type { Environment } from "../environment.ts";
import type { TurnFigures } from "../turn-figures.ts";
import type { Actor } from "./actor.ts";

/** An agent as one partition sees it: its share of the actors and of the quota. */
export class AgentShare {
  readonly name: string;
  /** Of the newest version. Actors with memory of older ones keep theirs until they go over. */
  environment: Environment;
  /** From then on actors go over to the newest version even when a handler is open. */
  drainUntilMs = 0;
  suspended: string | undefined = undefined;
  readonly actors = new Set<Actor>();
  pendingBytes = 0;
  messagesHandled = 0;
  messagesFailed = 0;
  /** From its first turn with this owner of the partition on. */
  figures: TurnFigures | undefined = undefined;

  constructor(name: string, environment: Environment) {
    this.name = name;
    this.environment = environment;
  }

  get isEphemeral(): boolean {
    return this.environment.manifest.durability === "ephemeral";
  }
}
