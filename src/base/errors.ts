/** gRPC status names used by the error table. */
export type GrpcStatusName =
  | "INVALID_ARGUMENT"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "FAILED_PRECONDITION"
  | "RESOURCE_EXHAUSTED"
  | "ABORTED"
  | "DEADLINE_EXCEEDED"
  | "UNAVAILABLE"
  | "UNIMPLEMENTED"
  | "PERMISSION_DENIED"
  | "DATA_LOSS"
  | "INTERNAL";

export interface ErrorDefinition {
  readonly grpc: GrpcStatusName;
  readonly http: number;
  /** The same request may succeed later without a change. */
  readonly retryable: boolean;
  /** What happened, safe to show to any caller. */
  readonly text: string;
  /** How to fix it. */
  readonly hint: string;
}

const define = <K extends string>(table: Record<K, ErrorDefinition>): Record<K, ErrorDefinition> =>
  table;

/** The one table of error codes. docs/errors.md is generated from it. */
export const ERRORS = define({
  INTERNAL: {
    grpc: "INTERNAL",
    http: 500,
    retryable: false,
    text: "The server failed while handling the request.",
    hint: "Look up the trace id in the server's log and report it.",
  },
  INVALID_ARGUMENT: {
    grpc: "INVALID_ARGUMENT",
    http: 400,
    retryable: false,
    text: "The request is not valid.",
    hint: "Correct the fields listed in the details.",
  },
  INVALID_ADDRESS: {
    grpc: "INVALID_ARGUMENT",
    http: 400,
    retryable: false,
    text: "The address is not valid.",
    hint: "Use namespace/agent/key: namespace and agent match [a-z0-9-]{1,63}, the key is 1 to 256 bytes of UTF-8.",
  },
  INVALID_CONTENT: {
    grpc: "INVALID_ARGUMENT",
    http: 400,
    retryable: false,
    text: "The content contradicts its content type.",
    hint: "Send content that parses as its content type, or use application/octet-stream.",
  },
  INVALID_MANIFEST: {
    grpc: "INVALID_ARGUMENT",
    http: 400,
    retryable: false,
    text: "The manifest is not valid.",
    hint: "Correct every finding in the details; docs/manifest.md lists all keys with units and limits.",
  },
  INVALID_CONFIG: {
    grpc: "INVALID_ARGUMENT",
    http: 400,
    retryable: false,
    text: "The configuration is not valid.",
    hint: "Correct every finding; docs/configuration.md lists all keys with units and limits.",
  },
  INVALID_MODULE: {
    grpc: "INVALID_ARGUMENT",
    http: 400,
    retryable: false,
    text: "The module can't be run.",
    hint: "Correct every finding in the details; docs/agent-abi.md says what a module may contain.",
  },
  COMPILE_FAILED: {
    grpc: "INVALID_ARGUMENT",
    http: 400,
    retryable: false,
    text: "The agent's source does not compile.",
    hint: "Correct the compiler's findings in the details.",
  },
  MODULE_TOO_LARGE: {
    grpc: "INVALID_ARGUMENT",
    http: 413,
    retryable: false,
    text: "The module is larger than limits.moduleBytesMax.",
    hint: "Strip debug sections or raise the limit in the server's configuration.",
  },
  MESSAGE_TOO_LARGE: {
    grpc: "INVALID_ARGUMENT",
    http: 413,
    retryable: false,
    text: "The message is larger than limits.messageBytesMax.",
    hint: "Send less, or put the content elsewhere and send a reference to it.",
  },
  UNKNOWN_PATH: {
    grpc: "UNIMPLEMENTED",
    http: 404,
    retryable: false,
    text: "There is nothing at this path.",
    hint: "The paths are listed in /api/v1/openapi.json.",
  },
  METHOD_NOT_ALLOWED: {
    grpc: "UNIMPLEMENTED",
    http: 405,
    retryable: false,
    text: "The path does not take this method.",
    hint: "Use a method of the Allow header.",
  },
  UNSUPPORTED_MEDIA_TYPE: {
    grpc: "INVALID_ARGUMENT",
    http: 415,
    retryable: false,
    text: "The body has a type that is not taken here.",
    hint: "Send application/json.",
  },
  REQUEST_TOO_LARGE: {
    grpc: "INVALID_ARGUMENT",
    http: 413,
    retryable: false,
    text: "The request has more bytes than the server takes.",
    hint: "Send less at once; the limits are those of 'caxton node status -o json'.",
  },
  AGENT_NOT_FOUND: {
    grpc: "NOT_FOUND",
    http: 404,
    retryable: false,
    text: "No agent of that name is deployed.",
    hint: "List what is deployed with 'caxton agent list'.",
  },
  ACTOR_NOT_FOUND: {
    grpc: "NOT_FOUND",
    http: 404,
    retryable: false,
    text: "The agent is deployed but has no actor with that key.",
    hint: "Actors appear with their first message; list them with 'caxton actor list'.",
  },
  STATE_NOT_FOUND: {
    grpc: "NOT_FOUND",
    http: 404,
    retryable: false,
    text: "The actor has no state under that key.",
    hint: "List its keys with 'caxton state list'.",
  },
  DEAD_LETTER_NOT_FOUND: {
    grpc: "NOT_FOUND",
    http: 404,
    retryable: false,
    text: "No dead letter has that id.",
    hint: "List them with 'caxton dead-letter list'.",
  },
  AGENT_CONFLICT: {
    grpc: "ABORTED",
    http: 409,
    retryable: true,
    text: "The agent was changed by somebody else at the same time.",
    hint: "Read it again and repeat the change.",
  },
  MEMORY_STATE_WOULD_BE_LOST: {
    grpc: "FAILED_PRECONDITION",
    http: 409,
    retryable: false,
    text: "Actors of this agent keep state in memory that the new code can't take over.",
    hint: "Have the old version export its state and the new one import it, or deploy with --reset-memory to drop it; key-value state is kept in any case.",
  },
  MAILBOX_FULL: {
    grpc: "RESOURCE_EXHAUSTED",
    http: 429,
    retryable: true,
    text: "The actor's mailbox is full.",
    hint: "Retry after the delay in the details, or raise limits.mailboxMessagesMax in its manifest.",
  },
  OVERLOADED: {
    grpc: "RESOURCE_EXHAUSTED",
    http: 429,
    retryable: true,
    text: "The node has as much unfinished work as it may hold.",
    hint: "Retry after the delay in the details.",
  },
  QUOTA_EXHAUSTED: {
    grpc: "RESOURCE_EXHAUSTED",
    http: 429,
    retryable: true,
    text: "The agent holds as many unhandled bytes as it may.",
    hint: "Slow the senders down or raise limits.mailboxBytesMax in its manifest.",
  },
  STORAGE_FULL: {
    grpc: "RESOURCE_EXHAUSTED",
    http: 429,
    retryable: true,
    text: "storage.sizeBytesMax is reached; nothing more is accepted.",
    hint: "Raise storage.sizeBytesMax or free disk space; accepted messages are kept.",
  },
  DEDUP_WINDOW_FULL: {
    grpc: "RESOURCE_EXHAUSTED",
    http: 429,
    retryable: true,
    text: "The table of client message ids is full.",
    hint: "Retry later, send without ids, or raise limits.clientIdsMax.",
  },
  STORAGE_FAILED: {
    grpc: "UNAVAILABLE",
    http: 503,
    retryable: false,
    text: "A write to storage failed; this node accepts nothing more.",
    hint: "Look at the server's log, mend the disk and start the server again.",
  },
  STORAGE_UNAVAILABLE: {
    grpc: "UNAVAILABLE",
    http: 503,
    retryable: true,
    text: "The storage servers do not answer.",
    hint: "Retry after the delay in the details; see that most of the NATS servers run. The node goes on by itself when they do.",
  },
  STORAGE_LAYOUT: {
    grpc: "FAILED_PRECONDITION",
    http: 409,
    retryable: false,
    text: "The storage servers hold something else than this configuration says.",
    hint: "Set what the message says was found, or name another storage.nats.cluster to begin anew.",
  },
  STORAGE_CORRUPT: {
    grpc: "DATA_LOSS",
    http: 500,
    retryable: false,
    text: "Stored data is damaged.",
    hint: "Do not delete anything; restore the data directory from a copy. The message names file and position.",
  },
  STORAGE_LOCKED: {
    grpc: "FAILED_PRECONDITION",
    http: 409,
    retryable: false,
    text: "The data directory is in use by another process.",
    hint: "Stop the other server or give this one its own storage.directory.",
  },
  STORAGE_FORMAT_NEWER: {
    grpc: "FAILED_PRECONDITION",
    http: 409,
    retryable: false,
    text: "The data directory was written by a newer Caxton.",
    hint: "Start the version that wrote it, or a newer one.",
  },
  STORAGE_FORMAT_OLDER: {
    grpc: "FAILED_PRECONDITION",
    http: 409,
    retryable: false,
    text: "The data directory was written by an older Caxton, in a format this one no longer reads.",
    hint: "Start the version that wrote it, or begin with a new data directory.",
  },
  LISTEN_FAILED: {
    grpc: "FAILED_PRECONDITION",
    http: 409,
    retryable: false,
    text: "A port can't be opened.",
    hint: "Free the port or set the option named in the message.",
  },
  INSECURE_BIND: {
    grpc: "FAILED_PRECONDITION",
    http: 409,
    retryable: false,
    text: "A listener would be reachable from outside without authentication.",
    hint: "Bind to a loopback address, or start with --insecure if you mean it.",
  },
  NOT_READY: {
    grpc: "UNAVAILABLE",
    http: 503,
    retryable: true,
    text: "The node is starting, stopping or recovering.",
    hint: "Retry after the delay in the details.",
  },
  PARTITION_UNAVAILABLE: {
    grpc: "UNAVAILABLE",
    http: 503,
    retryable: true,
    text: "The partition that owns this actor is being recovered.",
    hint: "Retry with the same message id; it takes effect once.",
  },
  ASK_TIMEOUT: {
    grpc: "DEADLINE_EXCEEDED",
    http: 504,
    retryable: true,
    text: "No reply came before the deadline.",
    hint: "The message stays accepted. Ask again with the same id for its reply, or raise the deadline.",
  },
  REENTRANT_ASK: {
    grpc: "FAILED_PRECONDITION",
    http: 409,
    retryable: false,
    text: "An ask came back to an actor whose handler is still open in the same chain.",
    hint: "Use send instead of ask on the way back, or set reentrant: true in the manifest.",
  },
  ASK_CHAIN_TOO_LONG: {
    grpc: "FAILED_PRECONDITION",
    http: 409,
    retryable: false,
    text: "A chain of asks is longer than limits.askChainMax.",
    hint: "Use send instead of ask somewhere in the chain.",
  },
  NO_REPLY: {
    grpc: "FAILED_PRECONDITION",
    http: 409,
    retryable: false,
    text: "The agent handled the message without replying.",
    hint: "Use send for messages that get no reply, or make the agent reply.",
  },
  HANDLER_NEVER_SETTLES: {
    grpc: "ABORTED",
    http: 422,
    retryable: false,
    text: "The agent's handler waits for something that can never come.",
    hint: "Await only ctx.ask, ctx.sleep, timers, and promises that they settle.",
  },
  AGENT_FAILED: {
    grpc: "ABORTED",
    http: 422,
    retryable: false,
    text: "The agent failed on this message.",
    hint: "Read the reason in the details and the agent's log; the message is among the dead letters.",
  },
  AGENT_TRAPPED: {
    grpc: "ABORTED",
    http: 422,
    retryable: false,
    text: "The agent's code trapped.",
    hint: "Read the trap in the details; the message is tried again until attemptsMax.",
  },
  FUEL_EXHAUSTED: {
    grpc: "ABORTED",
    http: 422,
    retryable: false,
    text: "The agent used all the fuel of one message.",
    hint: "Make the handler cheaper or raise limits.fuelPerMessage in its manifest.",
  },
  TURN_TIMEOUT: {
    grpc: "ABORTED",
    http: 422,
    retryable: false,
    text: "The agent ran longer than limits.turnTimeoutMs.",
    hint: "Make the handler cheaper or raise the limit in its manifest.",
  },
  CALL_DEPTH_EXCEEDED: {
    grpc: "ABORTED",
    http: 422,
    retryable: false,
    text: "The agent nested more calls than limits.callDepthMax.",
    hint: "Recurse less or raise the limit in its manifest.",
  },
  EFFECTS_TOO_LARGE: {
    grpc: "ABORTED",
    http: 422,
    retryable: false,
    text: "The effects of one turn are larger than limits.effectsBytesMax.",
    hint: "Do less in one turn or raise the limit in its manifest.",
  },
  STATE_TOO_LARGE: {
    grpc: "ABORTED",
    http: 422,
    retryable: false,
    text: "The actor's key-value state is larger than limits.stateBytesMax.",
    hint: "Delete keys or raise the limit in its manifest.",
  },
  HOST_CALL_INVALID: {
    grpc: "ABORTED",
    http: 422,
    retryable: false,
    text: "The agent called the host with arguments that are not valid.",
    hint: "Read the reason in the details; pointers must lie inside memory.",
  },
  PROCESS_CRASH: {
    grpc: "ABORTED",
    http: 422,
    retryable: false,
    text: "The server crashed each time this message was tried.",
    hint: "Look into the agent's code; 'caxton actor release' lets it continue.",
  },
  UPGRADE_FAILED: {
    grpc: "FAILED_PRECONDITION",
    http: 409,
    retryable: false,
    text: "An actor's state could not be taken over to the new version of its agent; the actor is held.",
    hint: "Deploy a version that exports and imports the state without failing and release the actor, or 'caxton actor reset' it: that drops its memory.",
  },
  SNAPSHOT_DAMAGED: {
    grpc: "DATA_LOSS",
    http: 500,
    retryable: false,
    text: "The image of an actor's memory is missing or damaged; the actor is held.",
    hint: "Restore the blob from a copy of the data directory and release the actor, or 'caxton actor reset' it: that drops its memory and continues.",
  },
  REPLAY_DIVERGED: {
    grpc: "DATA_LOSS",
    http: 500,
    retryable: false,
    text: "Replaying an actor gave other effects than its log holds; the actor is held.",
    hint: "The agent is not deterministic or its log is damaged; 'caxton actor reset' drops its memory and continues.",
  },
  RESUME_TOKEN_EXPIRED: {
    grpc: "FAILED_PRECONDITION",
    http: 410,
    retryable: false,
    text: "The log no longer has what came after the resume token.",
    hint: "Subscribe without it, and read what was missed from the state; retention.logMs says how long the log is kept.",
  },
  SUBSCRIBER_TOO_SLOW: {
    grpc: "RESOURCE_EXHAUSTED",
    http: 429,
    retryable: true,
    text: "The subscriber did not read fast enough and was cut off.",
    hint: "Subscribe again and read faster, or use a narrower filter.",
  },
});

export type ErrorCode = keyof typeof ERRORS;

/** One thing wrong with an input; a refusal lists all of them. */
export interface Finding {
  /** Where: a field path, a manifest key, a section of the module. */
  readonly at: string;
  readonly message: string;
  readonly hint?: string;
}

/** The only error that crosses rooms. `message` is what happened this time; the table has the rest. */
export class CaxtonError extends Error {
  readonly code: ErrorCode;
  readonly findings: readonly Finding[];
  /** How long to wait before trying again, where the code is retryable. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: ErrorCode,
    message?: string,
    options: { findings?: readonly Finding[]; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(
      message ?? ERRORS[code].text,
      options.cause === undefined ? {} : { cause: options.cause },
    );
    this.name = "CaxtonError";
    this.code = code;
    this.findings = options.findings ?? [];
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** What was thrown, as an Error. */
export function ensureError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** What was thrown as a CaxtonError; anything unforeseen is INTERNAL and keeps its text to the log. */
export function asCaxtonError(thrown: unknown): CaxtonError {
  if (thrown instanceof CaxtonError) return thrown;
  return new CaxtonError("INTERNAL", undefined, { cause: ensureError(thrown) });
}
