/** What the log says of the past, as the API offers it. */
import type { Message, Page, PageRequest } from "./kernel.ts";

/** Messages of a conversation, or one by its id, and what their handling led to. */
export type TraceRoot =
  | { readonly kind: "conversation"; readonly id: string }
  | { readonly kind: "message"; readonly id: string };

export type TracedEffectKind =
  "send" | "ask" | "reply" | "state-put" | "state-delete" | "event" | "timer-set" | "timer-cancel";

export interface TracedEffect {
  readonly kind: TracedEffectKind;
  /** Receiver, state key, topic or number of the timer. */
  readonly name: string;
  /** Id of the message sent. */
  readonly messageId?: string;
  /** Of the content, value or payload. */
  readonly bytes: number;
}

interface TracePlace {
  /** When its frame was sealed. */
  readonly atMs: number;
  readonly partition: number;
  readonly frame: number;
  /** Empty for timers and missed deadlines. */
  readonly messageId: string;
  /** Who got or handled the message: an actor, or the client of a reply. */
  readonly receiver: string;
}

export interface TraceFailure {
  readonly code: string;
  readonly reason: string;
  readonly attempts: number;
}

export type TraceEvent = TracePlace &
  (
    | {
        /** A message came to its receiver. */
        readonly kind: "arrived";
        /** Its content is cut off after the first bytes. */
        readonly message: Message;
        readonly contentBytes: number;
        /** The message whose handling sent it. */
        readonly causeId: string | undefined;
      }
    | {
        readonly kind: "handled";
        readonly effects: readonly TracedEffect[];
        /** The handler stayed open for answers. */
        readonly open: boolean;
      }
    | {
        /** An attempt was rolled back. */
        readonly kind: "failed";
        readonly failure: TraceFailure;
        readonly retryAtMs: number;
      }
    | { readonly kind: "dead-lettered"; readonly failure: TraceFailure }
  );

export interface Trace {
  /** In the order of the log. */
  readonly events: readonly TraceEvent[];
  /** All that the log still has was looked at. */
  readonly complete: boolean;
}

/** A change of an actor's key-value state. */
export interface StateChange {
  readonly key: string;
  /** Undefined: deleted. */
  readonly value: Uint8Array | undefined;
  readonly atMs: number;
  readonly frame: number;
  /** The message whose handling made it. */
  readonly messageId: string;
  readonly sender: string;
  readonly performative: string;
}

export interface HistoryOperations {
  trace(root: TraceRoot, timeoutMs: number): Promise<Trace>;
  /** Oldest first, as far back as the log goes. */
  stateChanges(address: string, prefix: string, page: PageRequest): Promise<Page<StateChange>>;
}
