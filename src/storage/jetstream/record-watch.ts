/**
 * Hints at changed records, from a consumer of what is written to the record stream.
 *
 * Owns the consumer, which begins where the stream ended when storage was opened.
 */
import { type ConsumerMessages, DeliverPolicy, jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { Subjects } from "../../base/nats-subjects.ts";
import type { JetStreamApi } from "./jetstream-api.ts";

export class RecordWatch {
  readonly #watchers = new Set<{ prefix: string; changed: (key: string) => void }>();
  readonly #messages: ConsumerMessages;
  readonly #keyOf: (subject: string) => string;

  private constructor(messages: ConsumerMessages, keyOf: (subject: string) => string) {
    this.#messages = messages;
    this.#keyOf = keyOf;
    void this.#follow();
  }

  static async open(
    connection: NatsConnection,
    api: JetStreamApi,
    { recordStream, allRecords, keyOfRecord }: Subjects,
  ): Promise<RecordWatch> {
    const { state } = await api.streamInfo(recordStream);
    const consumer = await jetstream(connection).consumers.get(recordStream, {
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: state.last_seq + 1,
      filter_subjects: allRecords,
      headers_only: true,
    });
    return new RecordWatch(await consumer.consume(), keyOfRecord);
  }

  add(prefix: string, changed: (key: string) => void): () => void {
    const watcher = { prefix, changed };
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  close(): void {
    this.#watchers.clear();
    this.#messages.stop();
  }

  async #follow(): Promise<void> {
    for await (const { subject } of this.#messages) {
      const key = this.#keyOf(subject);
      for (const { prefix, changed } of this.#watchers) if (key.startsWith(prefix)) changed(key);
    }
  }
}
