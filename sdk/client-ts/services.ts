/** Every method of a service as a function: what is generated says which there are. */
import type { ServiceDefinition } from "@grpc/grpc-js";
import type { Channel, EventStream, Method } from "./channel.ts";

export interface CallOptions {
  /** Of the call with its repetitions. */
  readonly timeoutMs?: number;
}

type Request<M> = M extends { requestDeserialize: (bytes: Buffer) => infer Q } ? Q : never;
type Answer<M> = M extends { responseDeserialize: (bytes: Buffer) => infer A } ? A : never;

type Call<M> = M extends { responseStream: true }
  ? (request: Partial<Request<M>>) => EventStream<Answer<M>>
  : (request: Partial<Request<M>>, options?: CallOptions) => Promise<Answer<M>>;

/** Fields of a request that are left out are empty. */
export type Calls<D> = { readonly [Name in keyof D]: Call<D[Name]> };

/** Methods that have the effect of one call when they are called twice. */
const REPEATABLE = /^(get|list|trace|deploy|suspend|resume)[A-Z]/;

export function callsOf<D extends ServiceDefinition>(channel: Channel, definition: D): Calls<D> {
  const calls = Object.entries(definition).map(([name, method]) => [
    name,
    method.responseStream ? streamCall(channel, method) : unaryCall(channel, method, name),
  ]);
  return Object.fromEntries(calls) as Calls<D>;
}

function streamCall<Q, E>(channel: Channel, method: Method<Q, E>) {
  return (request: Partial<Q>) => channel.stream(method, request);
}

function unaryCall<Q, A>(channel: Channel, method: Method<Q, A>, name: string) {
  const repeatable = REPEATABLE.test(name);
  return (request: Partial<Q>, { timeoutMs = channel.timeoutMs }: CallOptions = {}) =>
    channel.call(method, { timeoutMs, repeatable, request: () => request });
}
