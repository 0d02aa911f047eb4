/** The world `caxton:agent` of sdk/wit/caxton-agent.wit, as the host checks, reads and writes it. */
import {
  BOOL,
  BYTES,
  F64,
  STRING,
  U32,
  U64,
  enumeration,
  list,
  option,
  record,
  result,
  tuple,
  variant,
  witFunction,
  type WitFunction,
} from "./wit-types.ts";

export const HOST_INTERFACE = "caxton:agent/host@0.1.0";
export const TYPES_INTERFACE = "caxton:agent/types@0.1.0";

export const OPTIONAL_STRING = option(STRING);
export const OPTIONAL_U64 = option(U64);
export const OPTIONAL_BYTES = option(BYTES);
export const OPTIONAL_BOOL = option(BOOL);

/** Name and value of a header. */
export const HEADER = tuple(STRING, STRING);

export const BODY = record({
  performative: STRING,
  "content-type": STRING,
  "conversation-id": OPTIONAL_STRING,
  "reply-with": OPTIONAL_STRING,
  "in-reply-to": OPTIONAL_STRING,
  "reply-by-ms": OPTIONAL_U64,
  ontology: OPTIONAL_STRING,
  language: OPTIONAL_STRING,
  protocol: OPTIONAL_STRING,
  headers: list(HEADER),
  content: BYTES,
});

export const FAILED_ASK = record({ ask: U64, code: STRING });

export const CAUSE = variant({ sent: undefined, reply: U64, failure: FAILED_ASK, timer: U64 });
/** Numbers of the cases; `sent` is 0. */
export const CAUSE_REPLY = 1;
export const CAUSE_FAILURE = 2;
export const CAUSE_TIMER = 3;

export const MESSAGE = record({
  id: STRING,
  sender: STRING,
  receiver: STRING,
  cause: CAUSE,
  "wants-reply": BOOL,
  "from-client": BOOL,
  body: BODY,
});

/** What `handle` answers. */
export const OUTCOME = result(enumeration("done", "open"), STRING);
/** What `health` and `import-state` answer. */
export const CHECK = result(undefined, STRING);

/** What `send` and `ask` get by memory. */
export const SEND = record({ to: STRING, body: BODY });
export const ASK = record({ to: STRING, body: BODY, "timeout-ms": U32 });

export const HOST_FUNCTIONS = {
  send: witFunction({ to: STRING, body: BODY }),
  ask: witFunction({ to: STRING, body: BODY, "timeout-ms": U32 }, U64),
  reply: witFunction({ body: BODY }),
  fail: witFunction({ reason: STRING }),
  "state-get": witFunction({ key: BYTES }, OPTIONAL_BYTES),
  "state-put": witFunction({ key: BYTES, value: BYTES }),
  "state-delete": witFunction({ key: BYTES }),
  "state-list": witFunction({ prefix: BYTES }, list(BYTES)),
  emit: witFunction({ topic: STRING, content: BYTES }),
  "timer-set": witFunction({ id: U64, "delay-ms": U32, content: BYTES }),
  "timer-cancel": witFunction({ id: U64 }),
  log: witFunction({ level: enumeration("debug", "info", "warn", "error"), text: STRING }),
  now: witFunction({}, F64),
  random: witFunction({}, F64),
  config: witFunction({ name: STRING }, OPTIONAL_STRING),
  flag: witFunction({ name: STRING }, OPTIONAL_BOOL),
  self: witFunction({}, STRING),
} as const satisfies Readonly<Record<string, WitFunction>>;

export const REQUIRED_FUNCTIONS = {
  handle: witFunction({ message: MESSAGE }, OUTCOME),
} as const satisfies Readonly<Record<string, WitFunction>>;

export const OPTIONAL_FUNCTIONS = {
  health: witFunction({}, CHECK),
  "export-state": witFunction({}, BYTES),
  "import-state": witFunction({ state: BYTES }, CHECK),
} as const satisfies Readonly<Record<string, WitFunction>>;
