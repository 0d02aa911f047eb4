/** What outsiders can watch as it happens, and the subscribers who do. */
import type { Message } from "./kernel.ts";

export interface Subscriber<F, E> {
  readonly filter: F;
  /** False when the subscriber can't take more: it is then cut off with SUBSCRIBER_TOO_SLOW. */
  deliver(event: E): boolean;
  /** Resolves when nothing waits for the subscriber, or it has left. */
  drained(): Promise<void>;
  closed(error: Error | undefined): void;
}

export interface MessageFilter {
  /** Address prefix of sender or receiver, e.g. `default/counter`. Empty matches all. */
  readonly address?: string;
  readonly performatives?: readonly string[];
  readonly conversationId?: string;
}

export interface MessageEvent {
  readonly message: Message;
  readonly partition: number;
  readonly frame: number;
  /** What a subscriber that has this message goes on with later; empty while that is not known yet. */
  readonly resumeToken: string;
}

export type MessageSubscriber = Subscriber<MessageFilter, MessageEvent>;

/** From the least to the gravest. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface AgentLogFilter {
  readonly namespace: string;
  readonly name: string;
  /** Only lines of this actor. */
  readonly address?: string;
  /** Lines of lesser levels are left out. */
  readonly level: LogLevel;
}

export interface AgentLogLine {
  readonly timeMs: number;
  readonly level: LogLevel;
  readonly address: string;
  readonly text: string;
  /** The turn that wrote it failed and had no effects. */
  readonly rolledBack: boolean;
}

export type AgentLogSubscriber = Subscriber<AgentLogFilter, AgentLogLine>;

const LINE_BYTES = 128;

/** What a line counts for towards the bounds: its texts, and what any line costs. */
export function lineBytes({ address, text }: AgentLogLine): number {
  return LINE_BYTES + Buffer.byteLength(address) + Buffer.byteLength(text);
}
