/** Methods of the API as functions, whichever way a request comes and its answer goes. */
import type { Subscriber } from "../../actors/index.ts";
import type { ApiContext, CallInfo } from "../request.ts";

export type UnaryMethod<Q, A> = (request: Q, call: CallInfo) => Promise<A>;

/** Whoever reads a stream. */
export interface StreamReader<A> {
  /** `sent` is called when the answer waits for the reader no more. */
  write(answer: A, sent: () => void): void;
  /** Nothing more comes; the error says why unless all was said. */
  ended(error: Error | undefined): void;
}

export interface OpenStream<A> {
  /** What happened before, to begin with. */
  readonly earlier: readonly A[];
  /** Ends the subscription; undefined when nothing more is to come. */
  readonly leave: (() => void) | undefined;
}

export type StreamMethod<Q, A> = (request: Q, reader: StreamReader<A>) => OpenStream<A>;

type Request<M> = M extends { requestDeserialize: (bytes: Buffer) => infer Q } ? Q : never;
type Answer<M> = M extends { responseDeserialize: (bytes: Buffer) => infer A } ? A : never;

/** The methods of a generated service definition. */
export type Methods<D> = {
  readonly [Name in keyof D]: D[Name] extends { responseStream: true }
    ? StreamMethod<Request<D[Name]>, Answer<D[Name]>>
    : UnaryMethod<Request<D[Name]>, Answer<D[Name]>>;
};

/** What is watched: requests Q become filters F, events E become answers A. */
export interface Watched<Q, A, F, E> {
  filterOf(request: Q): F;
  /** What happened before, to begin with. */
  earlier(filter: F, request: Q): readonly E[];
  /** Returns the function that ends the subscription; undefined when nothing more is wanted. */
  subscribe(subscriber: Subscriber<F, E>, request: Q): (() => void) | undefined;
  encode(event: E): A;
  bytesOf(event: E): number;
}

export function streamOf<Q, A, F, E>(
  watched: Watched<Q, A, F, E>,
  { config }: ApiContext,
): StreamMethod<Q, A> {
  return (request, reader) => {
    const filter = watched.filterOf(request);
    const earlier = watched.earlier(filter, request).map((event) => watched.encode(event));
    const { subscriberBytesMax } = config.current.limits;
    const subscriber = new BoundedSubscriber(reader, filter, watched, subscriberBytesMax);
    const leave = watched.subscribe(subscriber, request);
    return { earlier, leave: leave === undefined ? undefined : () => subscriber.left(leave) };
  };
}

/**
 * Owns the count of bytes written to one reader and not sent yet, and who waits for them to be sent.
 * 1. They never exceed the bound, but for a single event and what happened before it subscribed; a reader that
 *    lags further is cut off.
 */
class BoundedSubscriber<Q, A, F, E> implements Subscriber<F, E> {
  readonly filter: F;
  readonly #reader: StreamReader<A>;
  readonly #watched: Watched<Q, A, F, E>;
  readonly #bytesMax: number;
  #unsentBytes = 0;
  #hasLeft = false;
  #waiting: (() => void)[] = [];

  constructor(
    reader: StreamReader<A>,
    filter: F,
    watched: Watched<Q, A, F, E>,
    subscriberBytesMax: number,
  ) {
    this.filter = filter;
    this.#reader = reader;
    this.#watched = watched;
    this.#bytesMax = subscriberBytesMax;
  }

  deliver(event: E): boolean {
    const bytes = this.#watched.bytesOf(event);
    if (this.#unsentBytes > 0 && this.#unsentBytes + bytes > this.#bytesMax) return false;
    this.#unsentBytes += bytes;
    this.#reader.write(this.#watched.encode(event), () => {
      this.#unsentBytes -= bytes;
      this.#wake();
    });
    return true;
  }

  drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#wake();
    });
  }

  left(leave: () => void): void {
    this.#hasLeft = true;
    leave();
    this.#wake();
  }

  #wake(): void {
    if (this.#unsentBytes > 0 && !this.#hasLeft) return;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  closed(error: Error | undefined): void {
    this.#reader.ended(error);
  }
}
