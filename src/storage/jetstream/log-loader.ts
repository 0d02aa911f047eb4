/** Reads once what a log stream holds, without the frames themselves, into the indexes of its partitions. */
import { jetstream, type ConsumerMessages } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { CaxtonError } from "../../base/errors.ts";
import { indexedMessage } from "./frame-headers.ts";
import { type JetStreamApi, unavailable } from "./jetstream-api.ts";
import type { LogPartition } from "./log-partition.ts";

const SIZE_HEADER = "Nats-Msg-Size";
/** Between two messages, before the servers are given up. */
const SILENCE_MS_MAX = 15_000;

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
  const consumer = await jetstream(connection).consumers.get(stream, { headers_only: true });
  const messages = await consumer.consume({ max_messages: 5000 });
  const silence = giveUpInSilence(messages);
  try {
    for await (const { subject, seq, headers } of messages) {
      silence.heard();
      const partition = bySubject.get(subject);
      if (partition === undefined) throw isForeign(stream, subject);
      const header = (name: string): string | undefined =>
        headers?.has(name) === true ? headers.get(name) : undefined;
      const bytes = Number(header(SIZE_HEADER) ?? 0);
      partition.index.add(indexedMessage({ subject, streamSequence: seq, bytes, header }));
      if (seq >= state.last_seq) return;
    }
    throw unavailable(`${stream} could not be read to its end`);
  } finally {
    silence.stop();
    messages.stop();
    await consumer.delete().catch(() => undefined);
  }
}

function giveUpInSilence(messages: ConsumerMessages): { heard(): void; stop(): void } {
  const timer = setTimeout(() => messages.stop(), SILENCE_MS_MAX);
  return { heard: () => timer.refresh(), stop: () => clearTimeout(timer) };
}

function isForeign(stream: string, subject: string): CaxtonError {
  const text = `Stream ${stream} holds a message on ${subject}, which is none of its partitions.`;
  return new CaxtonError("STORAGE_LAYOUT", text);
}
