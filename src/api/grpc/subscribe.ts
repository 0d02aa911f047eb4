/**
 * One subscriber's stream. Owns the messages that wait for it.
 * 1. Waiting bytes never exceed limits.subscriberBytesMax; a subscriber that lags further is cut off.
 * 2. The kernel's subscription ends exactly once: by cancellation, by the kernel, or at the bound.
 */
import { type handleServerStreamingCall, Metadata, type ServerWritableStream } from "@grpc/grpc-js";
import type { MessageEvent, MessageFilter, MessageSubscriber } from "../../actors/kernel.ts";
import { CaxtonError } from "../../base/errors.ts";
import { Queue } from "../../base/queue.ts";
import type {
  SubscribeMessagesRequest,
  SubscribeMessagesResponse,
} from "../../gen/caxton/v1/message.ts";
import { type ApiContext, RequestRecord } from "./call.ts";
import { encodeMessage } from "./encode.ts";
import { asCaxtonError, toServiceError } from "./errors.ts";
import type { OpenStreams } from "./open-streams.ts";

type Stream = ServerWritableStream<SubscribeMessagesRequest, SubscribeMessagesResponse>;

/** What an envelope costs beside its content. */
const ENVELOPE_BYTES = 512;

export function subscribeMessages(
  api: ApiContext,
  streams: OpenStreams,
): handleServerStreamingCall<SubscribeMessagesRequest, SubscribeMessagesResponse> {
  return (stream) => {
    const record = new RequestRecord(api, "SubscribeMessages", stream.metadata);
    const subscriber = new StreamSubscriber(stream, api.limits.subscriberBytesMax, record);
    try {
      const unsubscribe = api.kernel.subscribe(subscriber);
      const leave = (error: CaxtonError | undefined): void => {
        unsubscribe();
        subscriber.closed(error);
      };
      stream.on("cancelled", () => leave(undefined));
      streams.add(stream, () => leave(new CaxtonError("NOT_READY", "The node is stopping.")));
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
  readonly #waiting = new Queue<MessageEvent>();
  #waitingBytes = 0;
  #blocked = false;
  #isClosed = false;

  constructor(stream: Stream, bytesMax: number, record: RequestRecord) {
    this.#stream = stream;
    this.#bytesMax = bytesMax;
    this.#record = record;
    this.filter = filterOf(stream.request);
    stream.on("drain", () => this.#flush());
  }

  deliver(event: MessageEvent): boolean {
    if (this.#isClosed) return true;
    if (!this.#blocked) {
      this.#write(event);
      return true;
    }
    const cost = event.message.content.length + ENVELOPE_BYTES;
    if (this.#waitingBytes + cost > this.#bytesMax) return false;
    this.#waiting.push(event);
    this.#waitingBytes += cost;
    return true;
  }

  closed(error: Error | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#waiting.clear();
    if (error === undefined) {
      this.#stream.end();
      this.#record.succeeded();
      return;
    }
    const caxtonError = asCaxtonError(error);
    this.#stream.emit("error", toServiceError(caxtonError, this.#record.traceId));
    this.#record.failed(caxtonError);
  }

  #flush(): void {
    this.#blocked = false;
    let canWrite = true;
    while (canWrite) {
      const event = this.#waiting.shift();
      if (event === undefined) return;
      this.#waitingBytes -= event.message.content.length + ENVELOPE_BYTES;
      canWrite = this.#write(event);
    }
  }

  #write(event: MessageEvent): boolean {
    const { message, partition, frame } = event;
    const canWrite = this.#stream.write({ message: encodeMessage(message), partition, frame });
    this.#blocked = !canWrite;
    return canWrite;
  }
}

function filterOf(request: SubscribeMessagesRequest): MessageFilter {
  return {
    ...(request.address === "" ? {} : { address: request.address }),
    ...(request.performatives.length === 0 ? {} : { performatives: request.performatives }),
    ...(request.conversationId === "" ? {} : { conversationId: request.conversationId }),
  };
}
