/** One actor as its partition holds it. */
import { copyOf } from "../../base/bytes.ts";
import { Queue } from "../../base/queue.ts";
import type { Environment } from "../environment.ts";
import type { AgentShare } from "./agent-share.ts";
import { envelopeParts } from "../wasm/envelope.ts";
import type { ImageRef } from "./image-packs.ts";
import type { PendingMessage } from "./message.ts";
import { TurnIndex } from "./turn-index.ts";
import type { TurnLog } from "./turn-index.ts";

/**
 * - `idle`: nothing it may handle now.
 * - `ready`: in the partition's ready queue.
 * - `backoff`: waits for `retryAtMs` after a failed turn.
 * - `recovering`: its memory is being rebuilt by replay.
 * - `held`: handles nothing until released or reset.
 */
export type ActorPhase =
  | { readonly kind: "idle" }
  | { readonly kind: "ready" }
  | { readonly kind: "backoff"; readonly retryAtMs: number }
  | { readonly kind: "recovering" }
  | { readonly kind: "held"; readonly code: string; readonly reason: string };

export const IDLE: ActorPhase = { kind: "idle" };
export const READY: ActorPhase = { kind: "ready" };
export const RECOVERING: ActorPhase = { kind: "recovering" };

/** The handling of one message; open when it returned without being done and waits for replies and timers. */
export class Handler {
  readonly rootSeq: number;
  /** Flags of the root message. */
  readonly flags: number;
  replied = false;
  private readonly message: PendingMessage | RootMessage;
  private copied: RootMessage | undefined;

  constructor(message: PendingMessage | RootMessage) {
    this.rootSeq = message.seq;
    this.flags = message.flags;
    this.message = message;
  }

  /** One that an image or a checkpoint holds. */
  static restored(root: RootMessage, replied: boolean): Handler {
    const handler = new Handler(root);
    handler.replied = replied;
    return handler;
  }

  /** Made on demand: most handlers are done at once and neither ask nor fail. */
  get root(): RootMessage {
    this.copied ??= "envelope" in this.message ? this.message : rootOf(this.message);
    return this.copied;
  }

  /** It stays open: its message's bytes will be gone. */
  keep(): this {
    this.copied = this.root;
    return this;
  }
}

/** What a handler needs of the message it handles once its bytes are gone. */
export interface RootMessage {
  readonly seq: number;
  readonly flags: number;
  /** The envelope without its content. */
  readonly envelope: Buffer;
}

export interface PendingTimer {
  readonly id: bigint;
  readonly actor: Actor;
  /** The handler it belongs to. */
  readonly rootSeq: number;
  readonly dueMs: number;
  readonly payload: Buffer;
}

/** Where an image of the actor is, and which turns are in it. */
export interface ActorImage {
  readonly ref: ImageRef;
  /** Number of the newest turn it has (see turn-index.ts). */
  readonly newestTurn: number;
}

/** Live memory of an actor. What it is, only the executor knows. */
export interface LiveMemory {
  readonly memoryBytes: number;
}

export class Actor {
  readonly address: string;
  readonly addressBytes: Buffer;
  readonly hash: number;
  readonly agent: AgentShare;
  /** Next actor with the same hash. */
  nextSameHash: Actor | undefined = undefined;

  /** What it runs: its agent's newest, or the one its memory still belongs to. */
  environment: Environment;
  phase: ActorPhase = IDLE;
  /** Open handlers by the seq of their root message; at most one unless the agent is reentrant. */
  readonly handlers = new Map<number, Handler>();
  /** Messages in order of acceptance. */
  readonly inbox = new Queue<PendingMessage>();
  /** Replies, failures and timers that an open handler awaits. */
  readonly answers = new Queue<PendingMessage>();

  live: LiveMemory | undefined = undefined;
  /** Turns after the durable image, or all when there is none. */
  readonly turns: TurnIndex;
  /** The durable image. */
  image: ActorImage | undefined = undefined;
  /** A newer one whose pack is not durable yet. */
  newImage: ActorImage | undefined = undefined;
  /** Turns that ran and wait for room in a frame: memory is ahead of everything else. */
  unwritten = 0;
  turnsTotal = 0;

  readonly state = new Map<string, Buffer>();
  stateBytes = 0;
  /** State at the first turn of the index, when it was not empty and there is no image. */
  baseState: ReadonlyMap<string, Buffer> | undefined = undefined;
  /** Writes of the batch that runs now, on top of `state`; null marks a deletion. */
  stateDraft: Map<string, Buffer | null> | undefined = undefined;
  stateDraftBytes = 0;
  /** Asks and timers of the batch that runs now. */
  asksDraft = 0;
  timersDraft = 0;

  readonly timers = new Map<bigint, PendingTimer>();
  asks = 0;
  /** Times of restarts within the supervision window, oldest first. */
  restartTimesMs: number[] = [];
  restartsTotal = 0;
  /** Turns to run behind an undo image, after a failure. */
  guardedTurns = 0;
  /** Number of the batch in which it failed or opened: it runs no more in that one. */
  stoppedInBatch = 0;
  /** Number of the batch whose end it has been through. */
  settledInBatch = 0;
  /** In the queue of those that may run, whatever its phase has become since. */
  isQueued = false;

  constructor(address: string, hash: number, agent: AgentShare, turnLog: TurnLog) {
    this.address = address;
    this.addressBytes = Buffer.from(address, "latin1");
    this.turns = new TurnIndex(turnLog);
    this.hash = hash;
    this.agent = agent;
    this.environment = agent.environment;
  }

  /** It has memory that is not the fresh one. */
  get hasMemory(): boolean {
    return this.turns.length > 0 || this.image !== undefined;
  }

  get newestImage(): ActorImage | undefined {
    return this.newImage ?? this.image;
  }

  /** It had turns since its newest image. */
  get isDirty(): boolean {
    const { newestImage, turns } = this;
    return turns.length > 0 && (newestImage === undefined || turns.newest > newestImage.newestTurn);
  }

  /** Its memory belongs to an older version of its agent. */
  get isOutdated(): boolean {
    return this.environment.id !== this.agent.environment.id;
  }

  /** Its memory is no more, nor what brings it back. */
  forgetMemory(): void {
    this.turns.clear();
    this.image = undefined;
    this.newImage = undefined;
  }

  get pendingMessages(): number {
    return this.inbox.length + this.answers.length;
  }

  /** The message it handles next, if its handler may take any. */
  next(): PendingMessage | undefined {
    if (this.handlers.size > 0 && !this.environment.manifest.reentrant) {
      return this.answers.peek();
    }
    return this.nextInOrder();
  }

  /** The oldest message of both lanes. */
  nextInOrder(): PendingMessage | undefined {
    const answer = this.answers.peek();
    const message = this.inbox.peek();
    if (answer === undefined) return message;
    if (message === undefined) return answer;
    return answer.seq < message.seq ? answer : message;
  }
}

export function rootOf(message: PendingMessage): RootMessage {
  const { bytes, offset } = message;
  const content = envelopeParts(bytes, offset).content;
  // A copy: the root outlives the frame its message is in.
  const envelope = copyOf(bytes, offset, content - offset);
  return { seq: message.seq, flags: message.flags, envelope };
}
