/** What the tests of `caxton agent test` see. They run on Node, so node:test and the like are there too. */
declare module "caxton/test" {
  /** Content that came back from a node. */
  export interface Content {
    readonly bytes: Uint8Array;
    /** The bytes as UTF-8. */
    readonly text: string;
    /** The content parsed as JSON; throws a SyntaxError when it is none. */
    json<T = unknown>(): T;
  }

  export interface Reply extends Content {
    readonly sender: string;
    readonly performative: string;
    readonly contentType: string;
    readonly headers: Readonly<Record<string, string>>;
  }

  export interface SendOptions {
    /** A repeat with the same id takes effect once. */
    readonly id?: string;
    readonly performative?: string;
    readonly contentType?: string;
    readonly conversationId?: string;
    readonly headers?: Readonly<Record<string, string>>;
  }

  export interface AskOptions extends SendOptions {
    /** 30,000 unless given. */
    readonly timeoutMs?: number;
  }

  export interface DeployOptions {
    /** Name and namespace; those of the manifest unless given. */
    readonly name?: string;
    readonly namespace?: string;
    /** File of the manifest; agent.yaml in the folder unless given. */
    readonly manifest?: string;
    /** Drop what actors keep in memory if the code changed. */
    readonly resetMemory?: boolean;
  }

  /** A call that the node refused or that failed. */
  export interface NodeError extends Error {
    /** A code of docs/errors.md, such as AGENT_FAILED. */
    readonly code: string;
  }

  /** A node of its own in this process, with an empty data directory. All failures are NodeErrors. */
  export interface TestNode {
    /** Deploys a folder or file; the path is relative to the agent's folder. */
    deploy(path: string, options?: DeployOptions): Promise<void>;
    /** Resolves when the message is durable. A string is sent as text, other values as JSON. */
    send(to: string, content: unknown, options?: SendOptions): Promise<void>;
    /** Resolves with the reply. */
    ask(to: string, content: unknown, options?: AskOptions): Promise<Reply>;
    /** A value of an actor's committed key-value state; undefined when there is none. */
    state(address: string, key: string): Promise<Content | undefined>;
    /** As kill -9 and a start do: calls under way fail, and what is on disk is what is left. */
    restart(): Promise<void>;
    /** Stops the node and removes its data. */
    stop(): Promise<void>;
  }

  export function startNode(): Promise<TestNode>;

  export interface TestContext {
    /** Runs after the test, however it ends. */
    after(run: () => void | Promise<void>): void;
  }

  /** `test` of node:test. */
  export function test(name: string, run: (t: TestContext) => void | Promise<void>): void;

  /** The part of node:assert/strict that most tests need. */
  export const assert: {
    ok(value: unknown, message?: string): asserts value;
    equal<T>(actual: unknown, expected: T, message?: string): asserts actual is T;
    notEqual(actual: unknown, expected: unknown, message?: string): void;
    deepEqual<T>(actual: unknown, expected: T, message?: string): asserts actual is T;
    match(text: string, pattern: RegExp, message?: string): void;
    throws(run: () => unknown, expected?: object, message?: string): void;
    rejects(promise: Promise<unknown>, expected?: object, message?: string): Promise<void>;
  };
}
