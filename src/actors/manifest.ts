/** A manifest after validation and defaults: frozen, every limit present. */
export interface AgentManifest {
  readonly namespace: string;
  readonly name: string;
  readonly description: string;
  /** `ephemeral` agents keep no log: they start empty after a crash. */
  readonly durability: "durable" | "ephemeral";
  /** An open handler does not hold back other messages. */
  readonly reentrant: boolean;
  readonly limits: AgentLimits;
  /** Tries of one message before it becomes a dead letter. */
  readonly attemptsMax: number;
  readonly backoff: { readonly initialMs: number; readonly maxMs: number; readonly factor: number };
  readonly supervision: Supervision;
  /** Read with config_get. */
  readonly config: Readonly<Record<string, string>>;
  /** Read with flag_get. */
  readonly flags: Readonly<Record<string, boolean>>;
}

export interface AgentLimits {
  /** Pages of 64 KiB. */
  readonly memoryPagesMax: number;
  readonly tableElementsMax: number;
  readonly fuelPerMessage: number;
  readonly turnTimeoutMs: number;
  readonly callDepthMax: number;
  /** Per actor. */
  readonly mailboxMessagesMax: number;
  /** Unhandled bytes of all actors of the agent in one partition. */
  readonly mailboxBytesMax: number;
  readonly messageBytesMax: number;
  readonly effectsBytesMax: number;
  /** Per actor, keys and values. */
  readonly stateBytesMax: number;
  readonly timersMax: number;
  readonly asksPendingMax: number;
}

export type SupervisionStrategy = "one_for_one" | "one_for_all" | "rest_for_one";

export interface Supervision {
  /** Restarts of one actor (or group) within the window before the agent is suspended. */
  readonly restartsMax: number;
  readonly windowMs: number;
  readonly groups: readonly SupervisionGroup[];
}

/** Keys in start order; all live in one partition (checked at deploy). */
export interface SupervisionGroup {
  readonly name: string;
  readonly strategy: SupervisionStrategy;
  readonly members: readonly string[];
}
