import type { Environment } from "../environment.ts";
import type { Actor } from "./actor.ts";

/** An agent as one partition sees it: its share of the actors and of the quota. */
export class AgentShare {
  readonly name: string;
  environment: Environment;
  suspended: string | undefined = undefined;
  readonly actors = new Set<Actor>();
  pendingBytes = 0;
  messagesHandled = 0;
  messagesFailed = 0;

  constructor(name: string, environment: Environment) {
    this.name = name;
    this.environment = environment;
  }

  get isEphemeral(): boolean {
    return this.environment.manifest.durability === "ephemeral";
  }
}
