/** Topics: what clients and agents publish there goes to every agent whose manifest subscribes to it. */
import { createHash } from "node:crypto";
import type { JsMsg } from "@nats-io/jetstream";
import { topicOf } from "../../base/nats-subjects.ts";
import { type AgentTopics, isTopic, matchesTopic } from "../../actors/index.ts";
import type { SendOutcome } from "./send-lanes.ts";
import type { SentMessages } from "./sent-message.ts";

export interface TopicPorts {
  readonly sent: SentMessages;
  readonly streamIncarnation: string;
  topics(): AgentTopics[];
}

/** The actor of an agent that gets what it subscribed to. */
const SUBSCRIBER_KEY = "default";

export class Topics {
  private readonly ports: TopicPorts;

  constructor(ports: TopicPorts) {
    this.ports = ports;
  }

  /** Settled when all subscribers have it; who has it already knows it by its id. */
  async deliver(message: JsMsg): Promise<SendOutcome> {
    const { subject, seq } = message;
    const topic = topicOf(subject);
    const outcomes = await Promise.all(
      this.subscribers(topic).map((agent) =>
        this.ports.sent.send(message, {
          receiver: `${agent}/${SUBSCRIBER_KEY}`,
          subject,
          id: `topic-${this.ports.streamIncarnation}-${seq}-${shortHash(agent)}`,
          ownId: true,
          headers: { topic },
        }),
      ),
    );
    return outcomes.includes("later") ? "later" : "settled";
  }

  publishes(address: string, topic: string): boolean {
    if (!isTopic(topic)) return false;
    const agent = address.slice(0, address.lastIndexOf("/"));
    const own = this.ports.topics().find((topics) => topics.agent === agent);
    return own?.publish.some((pattern) => matchesTopic(pattern, topic)) ?? false;
  }

  private subscribers(topic: string): string[] {
    return this.ports
      .topics()
      .filter(({ subscribe }) => subscribe.some((pattern) => matchesTopic(pattern, topic)))
      .map(({ agent }) => agent);
  }
}

/** An id is short, names may be long. */
function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
