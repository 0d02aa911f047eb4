/** What an agent written in TypeScript sees. docs/typescript.md is the guide. */
declare module "caxton" {
  /** A message as the agent gets it. */
  export interface Message {
    readonly id: string;
    /** Address of an actor (`namespace/agent/key`), or the name of an outside client. */
    readonly sender: string;
    readonly receiver: string;
    /** FIPA-ACL: `inform`, `request`, `failure`, ... or one of your own. */
    readonly performative: string;
    readonly contentType: string;
    readonly content: Uint8Array;
    /** The content as UTF-8. */
    readonly text: string;
    /** The content parsed as JSON; throws a SyntaxError when it is none. */
    json<T = unknown>(): T;
    readonly conversationId?: string | undefined;
    readonly replyWith?: string | undefined;
    readonly inReplyTo?: string | undefined;
    /** Milliseconds since 1970 until which the sender wants its reply. */
    readonly replyByMs?: number | undefined;
    readonly ontology?: string | undefined;
    readonly language?: string | undefined;
    readonly protocol?: string | undefined;
    readonly headers: Readonly<Record<string, string>>;
    /** The sender waits for a reply. */
    readonly wantsReply: boolean;
  }

  /**
   * What a message can hold: a string goes as text/plain, a Uint8Array as application/octet-stream, anything
   * else as application/json.
   */
  export type Content = unknown;

  export interface MessageOptions {
    readonly performative?: string | undefined;
    readonly contentType?: string | undefined;
    readonly conversationId?: string | undefined;
    readonly replyWith?: string | undefined;
    readonly ontology?: string | undefined;
    readonly language?: string | undefined;
    readonly protocol?: string | undefined;
    readonly headers?: Readonly<Record<string, string>> | undefined;
  }

  export interface AskOptions extends MessageOptions {
    /** 30,000 unless given. */
    readonly timeoutMs?: number | undefined;
  }

  /** An ask got no reply: the agent asked failed, nobody is there, or the deadline passed. */
  export class AskError extends Error {
    /** A code of docs/errors.md, such as ASK_TIMEOUT. */
    readonly code: string;
    constructor(code: string, reason: string);
  }

  /** Key-value state: readable from outside, and kept when the code changes. */
  export interface State {
    get(key: string): Uint8Array | undefined;
    getText(key: string): string | undefined;
    getJson<T = unknown>(key: string): T | undefined;
    put(key: string, value: Content): void;
    delete(key: string): void;
    /** Keys that begin with the prefix, in byte order. */
    list(prefix?: string): string[];
  }

  export interface Log {
    debug(...values: unknown[]): void;
    info(...values: unknown[]): void;
    warn(...values: unknown[]): void;
    error(...values: unknown[]): void;
  }

  export interface Context {
    /** The actor's own address. */
    readonly self: string;
    readonly namespace: string;
    readonly agent: string;
    readonly key: string;
    /** Sends a message. It leaves when the turn is durable, and not at all when the turn fails. */
    send(to: string, content: Content, options?: MessageOptions): void;
    /** Sends a message and waits for the reply, through crashes; rejects with an AskError. */
    ask(to: string, content: Content, options?: AskOptions): Promise<Message>;
    sleep(ms: number): Promise<void>;
    /** Replies now; what the handler returns is then ignored. */
    reply(content: Content, options?: MessageOptions): void;
    /** Publishes an event under a topic. */
    emit(topic: string, content: Content): void;
    readonly state: State;
    /** A value of the manifest's `config`. */
    config(name: string): string | undefined;
    /** A flag of the manifest's `flags`; false when there is none. */
    flag(name: string): boolean;
    readonly log: Log;
    /** Milliseconds since 1970; stands still within a turn. */
    now(): number;
  }

  /** The address of an actor; escapes the key. */
  export function address(namespace: string, agent: string, key: string): string;
}
