/** Reads once what a log stream holds, without the frames themselves, into the indexes of its partitions. */
import { DeliverPolicy, jetstream, type JsMsg } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { CaxtonError, ensureError } from "../../base/errors.ts";
import { indexedMessage } from "./frame-headers.ts";
import { type JetStreamApi, unavailable } from "./jetstream-api.ts";
import type { LogPartition } from "./log-partition.ts";

const SIZE_HEADER = "Nats-Msg-Size";
const FETCHED_MAX = 10_000;
/** A consumer may be given to a server that is just coming up: then another try goes elsewhere. */
const FETCH_MS_MAX = 2000;
const STANDSTILL_MS_MAX = 20_000;

/**
 * The messages may come from a server that is not the leader; what it has is what was agreed on, only maybe
 * less of it. The leader says up to where to read.
 */
export async function loadIndexes(
  connection: NatsConnection,
  api: JetStreamApi,
  stream: string,
  partitions: readonly LogPartition[],
): Promise<void> {
  const { state } = await api.streamInfo(stream);
  if (state.messages === 0) return;
  const bySubject = new Map(partitions.map((partition) => [partition.subject, partition]));
  let next = state.first_seq;
  const take = (message: JsMsg): boolean => {
    add(stream, bySubject.get(message.subject), message);
    next = message.seq + 1;
    return next <= state.last_seq;
  };
  let progressAtMs = performance.now();
  while (next <= state.last_seq) {
    const from = next;
    const failure = await fetchFrom(connection, stream, from, take);
    if (next > from) progressAtMs = performance.now();
    else if (performance.now() - progressAtMs > STANDSTILL_MS_MAX) {
      throw unavailable(`${stream} can't be read from ${from} on${failure}`);
    }
  }
}

/** Gives messages on for as long as they are wanted; returns what went wrong, for the operator. */
async function fetchFrom(
  connection: NatsConnection,
  stream: string,
  from: number,
  take: (message: JsMsg) => boolean,
): Promise<string> {
  try {
    const consumer = await jetstream(connection).consumers.get(stream, {
      headers_only: true,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: from,
    });
    const messages = await consumer.fetch({ max_messages: FETCHED_MAX, expires: FETCH_MS_MAX });
    try {
      for await (const message of messages) if (!take(message)) break;
    } finally {
      messages.stop();
      await consumer.delete().catch(() => undefined);
    }
    return "";
  } catch (error) {
    if (error instanceof CaxtonError) throw error;
    return `: ${ensureError(error).message}`;
  }
}

function add(
  stream: string,
  partition: LogPartition | undefined,
  { subject, seq: streamSequence, headers }: JsMsg,
): void {
  if (partition === undefined) {
    const text = `Stream ${stream} holds a message on ${subject}, which is none of its partitions.`;
    throw new CaxtonError("STORAGE_LAYOUT", text);
  }
  const header = (name: string): string | undefined =>
    headers?.has(name) === true ? headers.get(name) : undefined;
  const bytes = Number(header(SIZE_HEADER) ?? 0);
  partition.index.add(indexedMessage({ subject, streamSequence, bytes, header }));
}
