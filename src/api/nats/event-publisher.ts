/** Agents' events into the event stream, each under its own id: a repeat within the stream's window is one event. */
import type { JetStreamClient } from "@nats-io/jetstream";
import { headers as newHeaders, type NatsConnection } from "@nats-io/transport-node";
import type { EmittedEvent } from "../../actors/index.ts";
import type { Logger } from "../../base/log.ts";
import { eventSubjectOf, topicSubjectOf } from "../../base/nats-subjects.ts";
import { MESSAGE_ID_HEADER, oneLine } from "./envelope-headers.ts";

/** What the headers of an event take at most, beside its topic. */
const HEADER_BYTES_MAX = 4096;
const PUBLISH_TIMEOUT_MS = 2000;

export interface EventPublisherPorts {
  readonly connection: NatsConnection;
  readonly jetstream: JetStreamClient;
  readonly log: Logger;
  /** Whether an agent's manifest says that the topic is for all. */
  publishesTopic(address: string, topic: string): boolean;
}

export async function publishEvent(
  { connection, jetstream, log, ...ports }: EventPublisherPorts,
  { id, address, topic, content, atMs }: EmittedEvent,
): Promise<void> {
  const headers = newHeaders();
  headers.set(MESSAGE_ID_HEADER, id);
  headers.set("Caxton-Topic", oneLine(topic));
  headers.set("Caxton-Sender", address);
  headers.set("Caxton-Time", new Date(atMs).toISOString());
  const bytesMax = (connection.info?.max_payload ?? Infinity) - HEADER_BYTES_MAX - topic.length * 3;
  const fits = content.length <= bytesMax;
  if (!fits) {
    // It would never get through, and hold up all that come after it.
    headers.set("Caxton-Error", `${content.length} bytes are more than the NATS server takes`);
    log.error({ id, address, bytes: content.length }, "an event is published without its content");
  }
  const body = fits ? content : "";
  const options = { headers, timeout: PUBLISH_TIMEOUT_MS };
  await jetstream.publish(eventSubjectOf(address), body, options);
  // Each stream knows its own repeats.
  if (ports.publishesTopic(address, topic))
    await jetstream.publish(topicSubjectOf(topic), body, options);
}
