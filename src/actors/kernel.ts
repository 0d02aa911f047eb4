/**
 * What the kernel of one node offers to the API. Everything here is transport-free.
 * All failures are CaxtonError.
 */
import type { CaxtonError, ErrorCode, Finding } from "../base/errors.ts";
import type { EventOperations } from "./emitted-events.ts";
import type { HistoryOperations } from "./history.ts";
import type { AgentManifest } from "./manifest.ts";
import type { AgentTopics } from "./topics.ts";
import type {
  AgentLogFilter,
  AgentLogLine,
  AgentLogSubscriber,
  MessageSubscriber,
} from "./watch.ts";

/** A message as outsiders see it. Absent fields are undefined, never empty strings. */
export interface Message {
  readonly id: string;
  /** Address `namespace/agent/key` of an actor, or the name of a client. */
  readonly sender: string;
  readonly receiver: string;
  readonly performative: string;
  readonly contentType: string;
  readonly content: Uint8Array;
  readonly conversationId?: string;
  readonly replyWith?: string;
  readonly inReplyTo?: string;
  readonly replyByMs?: number;
  readonly ontology?: string;
  readonly language?: string;
  readonly protocol?: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface SendInput {
  readonly receiver: string;
  /** Client message id: makes a repeat safe. Without one every call is a new message. */
  readonly id?: string;
  readonly performative?: string;
  readonly contentType?: string;
  readonly content: Uint8Array;
  readonly conversationId?: string;
  readonly replyWith?: string;
  readonly inReplyTo?: string;
  readonly ontology?: string;
  readonly language?: string;
  readonly protocol?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Name of the sending client, for the sender field. */
  readonly client?: string;
}

export interface SendResult {
  readonly id: string;
  /** The id was already accepted earlier; nothing new was accepted. */
  readonly duplicate: boolean;
  readonly partition: number;
  /** Frame that made the message durable (0 for ephemeral agents). */
  readonly frame: number;
}

export interface AskInput extends SendInput {
  /** Default 30,000. */
  readonly timeoutMs?: number;
}

export interface AskResult {
  readonly id: string;
  readonly duplicate: boolean;
  readonly reply: Message;
}

/** A stream that clients send by, as the kernel needs it. */
export interface StreamListener {
  /** Nothing is left to do for these messages, durably; `accepted` of them were taken. */
  settled(partition: number, settled: readonly number[], accepted: number): void;
  /** The message can't be taken, ever: it is to be disposed of, and `disposed` called. */
  refused(partition: number, n: number, error: CaxtonError): void;
  /** What these partitions had in hand is lost to them: `begin` anew. */
  lost(partitions: readonly number[]): void;
}

/** How far a partition is with the stream that clients send by. */
export interface StreamPlace {
  /** The stream's, 0: the partition knows of none. */
  readonly incarnation: number;
  /** The newest message it met. */
  readonly upTo: number;
  /** By when the stream had stored all that was met, in seconds since 1970; 0: not known. */
  readonly upToS: number;
  /** Everything up to this number is done. */
  readonly floor: number;
}

/** A message of the stream. */
export interface StreamNumber {
  readonly n: number;
  /** When the stream stored it, in seconds since 1970. */
  readonly storedS: number;
}

/**
 * The messages of one stream, numbered by it, to the partitions of their receivers. What comes again is known by
 * its number, however often a partition is handed it.
 */
export interface SendStream {
  place(partition: number): Promise<StreamPlace>;
  /**
   * Another stream, or the same one without some of its end: of what the partition met the messages up to `last` are
   * left. What is in hand is forgotten. `incarnation` tells the stream from others.
   */
  begin(partition: number, incarnation: number, last: number): Promise<StreamPlace>;
  /**
   * In the order of their numbers. `hasOwnId`: the client chose its id, and a repeat is no new message. Throws what
   * `send` throws of a bad message; then it is to be `refuse`d.
   */
  offer(partition: number, message: StreamNumber, input: SendInput, hasOwnId: boolean): void;
  /** A message that is refused already. */
  refuse(partition: number, message: StreamNumber): void;
  disposed(partition: number, n: number): void;
  /** Refuses what has waited, up to this number, for room in a mailbox. */
  giveUp(partition: number, n: number): void;
}

export type AgentStatus = "running" | "suspended";
export type ActorStatus = "idle" | "ready" | "open" | "backoff" | "held" | "recovering";

/** How many values lie up to each bound and above the one before it; the last count is of those above all. */
export interface Distribution {
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
  readonly sum: number;
}

/** What the turns of an agent cost, since its workers started. */
export interface TurnCosts {
  /** From a message's acceptance to the end of the turn that handled it. */
  readonly latencySeconds: Distribution;
  readonly durationSeconds: Distribution;
  readonly fuel: Distribution;
}

export interface AgentInfo {
  readonly namespace: string;
  readonly name: string;
  /** Version: lowercase hex SHA-256 of module and manifest. */
  readonly version: string;
  readonly status: AgentStatus;
  /** Why it is suspended. */
  readonly reason?: string;
  readonly deployedAtMs: number;
  readonly language: string;
  readonly moduleBytes: number;
  readonly manifest: AgentManifest;
  readonly actors: number;
  readonly messagesHandled: number;
  readonly messagesFailed: number;
  /** Linear memory of its actors in the process. */
  readonly memoryBytes: number;
  readonly turnCosts: TurnCosts;
}

export interface ActorInfo {
  readonly address: string;
  readonly partition: number;
  readonly status: ActorStatus;
  readonly reason?: string;
  /** Of the agent, that it runs: an older one until its memory has gone over to the newest. */
  readonly version: string;
  /** Turns committed over the actor's life. */
  readonly turns: number;
  readonly mailboxMessages: number;
  readonly stateKeys: number;
  readonly stateBytes: number;
  readonly timers: number;
  /** Attempts spent on the message at the head of the mailbox. */
  readonly attempts: number;
  readonly restarts: number;
  readonly memoryBytes: number;
  /** The frame this answer reflects. */
  readonly frame: number;
}

export interface StateEntry {
  readonly key: string;
  readonly value: Uint8Array;
  /** The frame this answer reflects. */
  readonly frame: number;
}

export interface DeadLetter {
  readonly id: string;
  readonly message: Message;
  readonly code: ErrorCode;
  readonly reason: string;
  readonly attempts: number;
  readonly atMs: number;
  readonly partition: number;
}

export interface SupervisorNode {
  readonly kind: "node" | "worker" | "partition" | "agent" | "actor";
  readonly name: string;
  readonly status: string;
  readonly strategy?: string;
  readonly restarts: number;
  readonly children: readonly SupervisorNode[];
  /** Children left out because there were too many to list. */
  readonly omitted: number;
}

export const SOURCE_LANGUAGES = ["assemblyscript", "typescript"] as const;

export type SourceLanguage = (typeof SOURCE_LANGUAGES)[number];

export type DeploySource =
  | { readonly kind: "module"; readonly bytes: Uint8Array }
  | {
      readonly kind: "source";
      readonly language: SourceLanguage;
      /** Path inside the agent's folder -> text. The entry file is `index.ts`, or the only file. */
      readonly files: ReadonlyMap<string, string>;
    };

export interface DeployRequest {
  /** Text of the manifest, YAML or JSON. */
  readonly manifest: string;
  readonly source: DeploySource;
  /** Drop the memory state of live actors when the code changes. */
  readonly resetMemory: boolean;
}

export type DeployStageName = "static" | "sandbox" | "contract" | "resources";

export interface DeployStage {
  readonly stage: DeployStageName;
  readonly passed: boolean;
  readonly durationMs: number;
  readonly findings: readonly Finding[];
  /** Facts for people: sizes, exports, fuel of the sandbox run. */
  readonly facts: Readonly<Record<string, string>>;
}

export interface DeployResult {
  readonly agent: AgentInfo;
  /** False when this very version was already deployed. */
  readonly changed: boolean;
  readonly stages: readonly DeployStage[];
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Pass to the next call; undefined at the end. */
  readonly nextPageToken?: string;
}

export interface PageRequest {
  readonly pageSize: number;
  readonly pageToken?: string;
}

export interface PartitionStatus {
  readonly partition: number;
  readonly worker: number;
  readonly ready: boolean;
  readonly epoch: number;
  readonly frame: number;
  readonly actors: number;
  readonly pendingMessages: number;
  readonly deadLetters: number;
  /** Dead letters that went because their bound was reached. */
  readonly deadLettersEvicted: number;
  readonly turns: number;
  readonly turnsFailed: number;
  /** Turns re-executed to rebuild memory since the process started. */
  readonly turnsReplayed: number;
  /** Messages that were accepted and not handled when the partition was recovered. */
  readonly recoveredPending: number;
}

/** Parts of a node that can keep it from taking work. */
export const NODE_COMPONENTS = ["node", "storage", "partitions"] as const;

export interface NodeTrouble {
  readonly component: (typeof NODE_COMPONENTS)[number];
  readonly reason: string;
}

export interface NodeStatus {
  readonly nodeId: string;
  readonly version: string;
  readonly startedAtMs: number;
  readonly ready: boolean;
  /** Why it is not ready; empty when it is. */
  readonly notReady: readonly NodeTrouble[];
  readonly workers: number;
  readonly partitions: readonly PartitionStatus[];
  readonly storage: {
    readonly engine: string;
    readonly directory: string;
    readonly bytes: number;
    readonly bytesMax: number;
    readonly fsyncs: number;
    readonly commits: number;
    readonly full: boolean;
    /** The last stop was clean. */
    readonly cleanStart: boolean;
    readonly durability: "durable" | "fast";
    /** False: the node can't see whether the storage servers are set up so. */
    readonly durabilityVerified: boolean;
  };
}

/** The kernel's offer by subject; src/actors/ has one file for each. */
export interface NodeKernel {
  readonly agents: AgentOperations;
  readonly agentLogs: AgentLogOperations;
  readonly messages: MessageOperations;
  readonly history: HistoryOperations;
  readonly events: EventOperations;
  readonly actors: ActorOperations;
  readonly deadLetters: DeadLetterOperations;
  readonly node: NodeOperations;
}

export interface AgentOperations {
  deploy(request: DeployRequest): Promise<DeployResult>;
  list(namespace: string | undefined): Promise<AgentInfo[]>;
  get(namespace: string, name: string): Promise<AgentInfo>;
  delete(namespace: string, name: string): Promise<void>;
  suspend(namespace: string, name: string, reason: string): Promise<AgentInfo>;
  resume(namespace: string, name: string): Promise<AgentInfo>;
  /** Of the agents that subscribe to topics or publish some. */
  topics(): AgentTopics[];
}

export interface AgentLogOperations {
  /** The newest matching lines that the node still has, `tail` at most, oldest first. */
  read(filter: AgentLogFilter, tail: number): AgentLogLine[];
  /** Lines from now on. Returns the function that ends the subscription. */
  subscribe(subscriber: AgentLogSubscriber): () => void;
}

export interface MessageOperations {
  /** Resolves when the message is durable. */
  send(input: SendInput): Promise<SendResult>;
  /** Resolves with the reply; rejects with ASK_TIMEOUT, AGENT_FAILED, ... */
  ask(input: AskInput): Promise<AskResult>;
  /** There is one stream, and one listener. */
  openStream(listener: StreamListener): SendStream;
  /** Returns the function that ends the subscription. With a token it goes on where that was given out. */
  subscribe(subscriber: MessageSubscriber, resumeToken?: string): () => void;
}

export interface ActorOperations {
  list(
    filter: { namespace?: string; agent?: string; status?: ActorStatus },
    page: PageRequest,
  ): Promise<Page<ActorInfo>>;
  get(address: string): Promise<ActorInfo>;
  release(address: string): Promise<ActorInfo>;
  reset(address: string): Promise<ActorInfo>;
  getState(address: string, key: string): Promise<StateEntry>;
  listState(address: string, prefix: string, page: PageRequest): Promise<Page<StateEntry>>;
}

export interface DeadLetterOperations {
  list(
    filter: { namespace?: string; agent?: string },
    page: PageRequest,
  ): Promise<Page<DeadLetter>>;
  /** Puts the message back at the end of its actor's mailbox. */
  retry(id: string): Promise<void>;
  drop(id: string): Promise<void>;
}

export interface NodeOperations {
  supervisorTree(options: { actorsMax: number }): Promise<SupervisorNode>;
  status(): Promise<NodeStatus>;
}
