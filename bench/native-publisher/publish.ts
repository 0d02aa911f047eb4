/** Two ways to publish so many messages, each done when all of them are stored. */
import type { JetStreamClient } from "@nats-io/jetstream";
import { createInbox, type NatsConnection } from "@nats-io/transport-node";

/** Every so many plain messages one asks to be acknowledged; all before it are stored then too. */
const ACK_EVERY = 500;
/** A server takes 10,000 messages of a stream that are not stored yet, and drops more. */
const UNSTORED_MAX = 5000;
const ANSWER_MS_MAX = 60_000;
const ACKED_AT_ONCE = 1000;

export interface Publication {
  readonly connection: NatsConnection;
  readonly client: JetStreamClient;
  /** Taken in turn. */
  readonly subjects: readonly string[];
  readonly messages: number;
  readonly content: Uint8Array;
}

export type Publish = (publication: Publication) => Promise<void>;

/** As `nats pub` does: without asking what became of a message. */
export async function publishPlain(publication: Publication): Promise<void> {
  const { connection, subjects, messages, content } = publication;
  const inbox = createInbox();
  const acks = connection.subscribe(inbox, { timeout: ANSWER_MS_MAX });
  let sent = 0;
  let stored = 0;
  const publishSome = (): void => {
    while (sent < messages && sent - stored < UNSTORED_MAX) {
      const subject = subjects[sent % subjects.length]!;
      const asks = ++sent % ACK_EVERY === 0 || sent === messages;
      if (asks) connection.publish(subject, content, { reply: inbox });
      else connection.publish(subject, content);
    }
  };
  publishSome();
  for await (const ack of acks) {
    const { error } = ack.json<{ error?: { description: string } }>();
    if (error !== undefined) throw new Error(error.description);
    stored = Math.min(messages, stored + ACK_EVERY);
    if (stored === messages) return;
    publishSome();
  }
}

export async function publishAcked(publication: Publication): Promise<void> {
  const { client, subjects, messages, content } = publication;
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < messages) await client.publish(subjects[next++ % subjects.length]!, content);
  };
  await Promise.all(Array.from({ length: ACKED_AT_ONCE }, lane));
}
