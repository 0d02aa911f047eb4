/** Joins an agent's module to the host. */
import type { Context, Message } from "caxton";
import { HandlerContext } from "./context.ts";
import { FLAG_FAILURE, FLAG_REPLY, FLAG_TIMER } from "./envelope.ts";
import "./globals.ts";
import { answered, begin, fired, settle } from "./handlers.ts";
import { host } from "./host.ts";
import { IncomingMessage } from "./message.ts";

interface AgentModule {
  readonly onMessage?: (message: Message, ctx: Context) => unknown;
  readonly exportState?: () => unknown;
  readonly importState?: (state: unknown) => void;
}

/** In front of an exported state. */
const AS_BYTES = 0;
const AS_JSON = 1;

export function serve(agent: AgentModule): void {
  const { onMessage, exportState, importState } = agent;
  if (typeof onMessage !== "function") {
    throw new TypeError("the agent exports no function onMessage(message, ctx)");
  }
  const deliver = (bytes: Uint8Array): void => {
    const message = new IncomingMessage(bytes);
    if ((message.flags & FLAG_TIMER) !== 0) fired(message.correlation);
    else if ((message.flags & (FLAG_REPLY | FLAG_FAILURE)) !== 0) answered(message);
    else begin(message, (handler) => onMessage(message, new HandlerContext(handler)));
  };
  host.serve(
    deliver,
    settle,
    () => exportState && packed(exportState()),
    (bytes) => {
      importState?.(unpacked(bytes));
      return importState !== undefined;
    },
  );
}

function packed(state: unknown): Uint8Array {
  if (state instanceof Promise) throw new TypeError("exportState must not be async");
  const isBytes = state instanceof Uint8Array;
  const content = isBytes ? state : host.encode(JSON.stringify(state ?? null));
  const bytes = new Uint8Array(1 + content.length);
  bytes[0] = isBytes ? AS_BYTES : AS_JSON;
  bytes.set(content, 1);
  return bytes;
}

function unpacked(bytes: Uint8Array): unknown {
  const content = bytes.slice(1);
  return bytes[0] === AS_BYTES ? content : JSON.parse(host.decode(content));
}
