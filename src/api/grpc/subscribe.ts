/**
 * One subscriber's stream. Owns the count of bytes written to it and not sent yet.
 * 1. They never exceed limits.subscriberBytesMax, but for a single message; a subscriber that lags
 *    further is cut off.
 * 2. The kernel's subscription ends exactly once: by cancellation, by the kernel, or at the bound.
 */
import { type handleServerStreamingCall, Metadata, type ServerWritableStream } from "@grpc/grpc-js";
import type { MessageEvent, MessageFilter, MessageSubscriber } from "../../actors/index.ts";
import type { CaxtonError } from "../../base/errors.ts";
import type {
  SubscribeMessagesRequest,
  SubscribeMessagesResponse,
} from "../../gen/caxton/v1/message.ts";
import { type CallContext, nodeIsStopping, RequestRecord } from "./call.ts";
import { encodeMessage } from "./encode.ts";
import { asCaxtonError, toServiceError } from "./errors.ts";
import type { OpenCall } from "./open-calls.ts";

type Stream = ServerWritableStream<SubscribeMessagesRequest, SubscribeMessagesResponse>;

/** What an envelope costs beside its content. */
const ENVELOPE_BYTES = 512;

export function subscribeMessages(
  api: CallContext,
): handleServerStreamingCall<SubscribeMessagesRequest, SubscribeMessagesResponse> {
  return (stream) => {
    const record = new RequestRecord(api, "SubscribeMessages", stream.metadata);
    const subscriber = new StreamSubscriber(stream, api.limits.subscriberBytesMax, record);
    try {
      const unsubscribe = api.kernel.messages.subscribe(subscriber);
      const leave = (error: CaxtonError | undefined): void => {
        api.openCalls.remove(open);
        unsubscribe();
        subscriber.closed(error);
      };
      const open: OpenCall = { isStream: true, end: () => leave(nodeIsStopping()) };
      api.openCalls.add(open);
      stream.once("close", () => leave(undefined));
      // Tells the caller that from now on nothing is missed.
      stream.sendMetadata(new Metadata());
    } catch (error) {
      subscriber.closed(asCaxtonError(error));
    }
  };
}

class StreamSubscriber implements MessageSubscriber {
  readonly filter: MessageFilter;
  readonly #stream: Stream;
  readonly #bytesMax: number;
  readonly #record: RequestRecord;
  #unsentBytes = 0;
  #isClosed = false;

  constructor(stream: Stream, bytesMax: number, record: RequestRecord) {
    this.#stream = stream;
    this.#bytesMax = bytesMax;
    this.#record = record;
    this.filter = filterOf(stream.request);
  }

  deliver({ message, partition, frame }: MessageEvent): boolean {
    if (this.#isClosed) return true;
    const cost = message.content.length + ENVELOPE_BYTES;
    if (this.#unsentBytes > 0 && this.#unsentBytes + cost > this.#bytesMax) return false;
    this.#unsentBytes += cost;
    this.#stream.write({ message: encodeMessage(message), partition, frame }, () => {
      this.#unsentBytes -= cost;
    });
    return true;
  }

  closed(error: Error | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (error === undefined) {
      this.#stream.end();
      this.#record.succeeded();
      return;
    }
    const caxtonError = asCaxtonError(error);
    this.#stream.emit("error", toServiceError(caxtonError, this.#record.traceId));
    this.#record.failed(caxtonError);
  }
}

function filterOf(request: SubscribeMessagesRequest): MessageFilter {
  return {
    ...(request.address === "" ? {} : { address: request.address }),
    ...(request.performatives.length === 0 ? {} : { performatives: request.performatives }),
    ...(request.conversationId === "" ? {} : { conversationId: request.conversationId }),
  };
}
