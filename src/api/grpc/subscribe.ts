/**
 * One subscriber's stream. Owns the count of bytes written to it and not sent yet.
 * 1. They never exceed limits.subscriberBytesMax, but for a single event and what happened before it
 *    subscribed; a subscriber that lags further is cut off.
 * 2. The kernel's subscription ends exactly once: by cancellation, by the kernel, or at the bound.
 */
import { type handleServerStreamingCall, Metadata, type ServerWritableStream } from "@grpc/grpc-js";
import type { Subscriber } from "../../actors/index.ts";
import type { CaxtonError } from "../../base/errors.ts";
import { type CallContext, nodeIsStopping, RequestRecord } from "./call.ts";
import { asCaxtonError, toServiceError } from "./errors.ts";
import type { OpenCall } from "./open-calls.ts";

/** What is watched: requests Q become filters F, events E become answers A. */
export interface Watched<Q, A, F, E> {
  readonly method: string;
  filterOf(request: Q): F;
  /** What happened before, to begin with. */
  earlier(filter: F, request: Q): readonly E[];
  /** Returns the function that ends the subscription; undefined when nothing more is wanted. */
  subscribe(subscriber: Subscriber<F, E>, request: Q): (() => void) | undefined;
  encode(event: E): A;
  bytesOf(event: E): number;
}

export function subscription<Q, A, F, E>(
  api: CallContext,
  watched: Watched<Q, A, F, E>,
): handleServerStreamingCall<Q, A> {
  return (stream) => {
    const record = new RequestRecord(api, watched.method, stream.metadata);
    const end = endOnce(stream, record);
    try {
      const filter = watched.filterOf(stream.request);
      const earlier = watched.earlier(filter, stream.request);
      const subscriber = new StreamSubscriber(stream, filter, watched, end, api.limits);
      const unsubscribe = watched.subscribe(subscriber, stream.request);
      // Tells the caller that from now on nothing is missed.
      stream.sendMetadata(new Metadata());
      for (const event of earlier) stream.write(watched.encode(event));
      if (unsubscribe === undefined) {
        end(undefined);
        return;
      }
      const leave = (error: CaxtonError | undefined): void => {
        api.openCalls.remove(open);
        unsubscribe();
        end(error);
      };
      const open: OpenCall = { isStream: true, end: () => leave(nodeIsStopping()) };
      api.openCalls.add(open);
      stream.once("close", () => leave(undefined));
    } catch (error) {
      end(asCaxtonError(error));
    }
  };
}

/** The first call ends the stream and writes its log line. */
function endOnce<Q, A>(
  stream: ServerWritableStream<Q, A>,
  record: RequestRecord,
): (error: Error | undefined) => void {
  let isEnded = false;
  return (error) => {
    if (isEnded) return;
    isEnded = true;
    if (error === undefined) {
      stream.end();
      record.succeeded();
      return;
    }
    const caxtonError = asCaxtonError(error);
    stream.emit("error", toServiceError(caxtonError, record.traceId));
    record.failed(caxtonError);
  };
}

class StreamSubscriber<Q, A, F, E> implements Subscriber<F, E> {
  readonly filter: F;
  readonly closed: (error: Error | undefined) => void;
  readonly #stream: ServerWritableStream<Q, A>;
  readonly #watched: Watched<Q, A, F, E>;
  readonly #bytesMax: number;
  #unsentBytes = 0;

  constructor(
    stream: ServerWritableStream<Q, A>,
    filter: F,
    watched: Watched<Q, A, F, E>,
    closed: (error: Error | undefined) => void,
    { subscriberBytesMax }: CallContext["limits"],
  ) {
    this.filter = filter;
    this.closed = closed;
    this.#stream = stream;
    this.#watched = watched;
    this.#bytesMax = subscriberBytesMax;
  }

  deliver(event: E): boolean {
    const bytes = this.#watched.bytesOf(event);
    if (this.#unsentBytes > 0 && this.#unsentBytes + bytes > this.#bytesMax) return false;
    this.#unsentBytes += bytes;
    this.#stream.write(this.#watched.encode(event), () => {
      this.#unsentBytes -= bytes;
    });
    return true;
  }
}
