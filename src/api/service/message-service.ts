/** Sending and asking: the hot path. Decode, check, hand to the kernel, encode. */
import type { MessageEvent, MessageFilter, SendInput } from "../../actors/index.ts";
import { CaxtonError } from "../../base/errors.ts";
import type {
  AskRequest,
  AskResponse,
  MessageServiceService,
  OutgoingMessage,
  SendMessageRequest,
  SendMessageResponse,
  SubscribeMessagesRequest,
  SubscribeMessagesResponse,
  TraceMessageRequest,
  TraceMessageResponse,
} from "../../gen/caxton/v1/message.ts";
import type { ApiContext, CallInfo } from "../request.ts";
import { encodeMessage } from "./encode.ts";
import { encodeTraceEvent } from "./encode-trace.ts";
import { type Methods, streamOf, type Watched } from "./method.ts";
import { checkMessage, refusal, refuse } from "./validate.ts";

const ASK_TIMEOUT_DEFAULT_MS = 30_000;
const ASK_TIMEOUT_MAX_MS = 86_400_000;
const TRACE_TIMEOUT_DEFAULT_MS = 10_000;
const TRACE_TIMEOUT_MAX_MS = 300_000;
/** The rest of the time is for the way back. */
const DEADLINE_SHARE = 0.9;
/** What an envelope costs beside its content. */
const ENVELOPE_BYTES = 512;

export function messageService(api: ApiContext): Methods<MessageServiceService> {
  return {
    sendMessage: (request: SendMessageRequest, call) => send(api, request, call),
    ask: (request: AskRequest, call) => ask(api, request, call),
    traceMessage: (request: TraceMessageRequest, call) => trace(api, request, call),
    subscribeMessages: streamOf(watchedMessages(api), api),
  };
}

async function send(
  api: ApiContext,
  request: SendMessageRequest,
  call: CallInfo,
): Promise<SendMessageResponse> {
  const input = sendInput(api, request.message, "inform", call.traceparent);
  const sent = await api.kernel.messages.send(input);
  if (!sent.duplicate) api.metrics.messageAccepted();
  return sent;
}

async function ask(api: ApiContext, request: AskRequest, call: CallInfo): Promise<AskResponse> {
  const input = sendInput(api, request.message, "request", call.traceparent);
  const asked = request.timeoutMs === 0 ? ASK_TIMEOUT_DEFAULT_MS : request.timeoutMs;
  if (asked > ASK_TIMEOUT_MAX_MS) {
    refuse([{ at: "timeout_ms", message: `must be at most ${ASK_TIMEOUT_MAX_MS}` }]);
  }
  const timeoutMs = Math.floor(Math.min(asked, call.remainingMs));
  if (timeoutMs <= 0) throw new CaxtonError("ASK_TIMEOUT");
  const { id, duplicate, reply } = await api.kernel.messages.ask({ ...input, timeoutMs });
  if (!duplicate) api.metrics.messageAccepted();
  return { id, duplicate, reply: encodeMessage(reply) };
}

async function trace(
  api: ApiContext,
  { conversationId, messageId, timeoutMs }: TraceMessageRequest,
  call: CallInfo,
): Promise<TraceMessageResponse> {
  if ((conversationId === "") === (messageId === "")) {
    throw refusal({ at: "conversation_id", message: "give either this or message_id" });
  }
  const root =
    messageId === ""
      ? ({ kind: "conversation", id: conversationId } as const)
      : ({ kind: "message", id: messageId } as const);
  const wantedMs = timeoutMs === 0 ? TRACE_TIMEOUT_DEFAULT_MS : timeoutMs;
  const { events, complete } = await api.kernel.history.trace(
    root,
    Math.min(wantedMs, TRACE_TIMEOUT_MAX_MS, call.remainingMs * DEADLINE_SHARE),
  );
  return { events: events.map(encodeTraceEvent), complete };
}

/** Checks a message and leaves out what is empty. Throws with every finding. */
export function sendInput(
  api: ApiContext,
  message: OutgoingMessage | undefined,
  performative: string,
  traceparent?: string,
): SendInput {
  if (message === undefined) {
    throw refusal({ at: "message", message: "is required" });
  }
  checkMessage(message, api.config.current.limits.messageBytesMax);
  const input: { -readonly [K in keyof SendInput]: SendInput[K] } = {
    receiver: message.receiver,
    performative: message.performative === "" ? performative : message.performative,
    content: message.content,
    headers: message.headers,
  };
  if (message.id !== "") input.id = message.id;
  if (message.contentType !== "") input.contentType = message.contentType;
  if (message.conversationId !== "") input.conversationId = message.conversationId;
  if (message.replyWith !== "") input.replyWith = message.replyWith;
  if (message.inReplyTo !== "") input.inReplyTo = message.inReplyTo;
  if (message.ontology !== "") input.ontology = message.ontology;
  if (message.language !== "") input.language = message.language;
  if (message.protocol !== "") input.protocol = message.protocol;
  if (message.client !== "") input.client = message.client;
  if (traceparent !== undefined && message.headers["traceparent"] === undefined) {
    input.headers = { ...message.headers, traceparent };
  }
  return input;
}

function watchedMessages(
  api: ApiContext,
): Watched<SubscribeMessagesRequest, SubscribeMessagesResponse, MessageFilter, MessageEvent> {
  return {
    filterOf: ({ address, performatives, conversationId }) => ({
      ...(address === "" ? {} : { address }),
      ...(performatives.length === 0 ? {} : { performatives }),
      ...(conversationId === "" ? {} : { conversationId }),
    }),
    earlier: () => [],
    subscribe: (subscriber, { resumeToken }) =>
      api.kernel.messages.subscribe(subscriber, resumeToken === "" ? undefined : resumeToken),
    encode: ({ message, ...rest }) => ({ message: encodeMessage(message), ...rest }),
    bytesOf: ({ message }) => message.content.length + ENVELOPE_BYTES,
  };
}
