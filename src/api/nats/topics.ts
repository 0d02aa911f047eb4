/**
 * Topics: what clients and agents publish there goes to every agent whose manifest subscribes to it.
 *
 * 1. A message is settled when all its acceptances, or dead letters, are durable. Nothing is thrown.
 */
import { createHash } from "node:crypto";
import type { JsMsg } from "@nats-io/jetstream";
import type { MsgHdrs } from "@nats-io/transport-node";
import { type AgentTopics, isTopic, matchesTopic } from "../../actors/index.ts";
import { asCaxtonError, type CaxtonError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { topicOf } from "../../base/nats-subjects.ts";
import type { Seldom } from "../../base/seldom.ts";
import type { SendMessageRequest } from "../../gen/caxton/v1/message.ts";
import type { CallInfo } from "../request.ts";
import { type DeadLetters, isRefusal } from "./dead-letters.ts";
import { headersIn, messageOf } from "./envelope-headers.ts";
import type { SendOutcome } from "./send-lanes.ts";

export interface TopicPorts {
  readonly streamIncarnation: string;
  readonly deadLetters: DeadLetters;
  readonly log: Logger;
  readonly warnings: Seldom;
  /** The name of whoever publishes by NATS. */
  readonly client: string;
  topics(): AgentTopics[];
  sendMessage(request: SendMessageRequest, call: CallInfo): Promise<unknown>;
}

/** The actor of an agent that gets what it subscribed to. */
const SUBSCRIBER_KEY = "default";
const CALL: CallInfo = { traceparent: undefined, remainingMs: Infinity };

export class Topics {
  private readonly ports: TopicPorts;

  constructor(ports: TopicPorts) {
    this.ports = ports;
  }

  async deliver(message: JsMsg): Promise<SendOutcome> {
    const topic = topicOf(message.subject);
    const outcomes = await Promise.all(
      this.subscribers(topic).map((agent) => this.send(message, topic, agent)),
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

  /** Who has the message already knows it by its id, which is the stream's: the client's would be the same for all. */
  private async send(sent: JsMsg, topic: string, agent: string): Promise<SendOutcome> {
    const { client, streamIncarnation } = this.ports;
    const id = `topic-${streamIncarnation}-${sent.seq}-${shortHash(agent)}`;
    let headers: MsgHdrs | undefined;
    try {
      headers = headersIn(sent);
      const receiver = `${agent}/${SUBSCRIBER_KEY}`;
      const message = messageOf({ receiver, client, content: sent.data, headers });
      message.id = id;
      message.headers["topic"] = topic;
      await this.ports.sendMessage({ message }, CALL);
      return "settled";
    } catch (thrown) {
      const error = asCaxtonError(thrown);
      if (!isRefusal(error.code)) return this.later(error);
      const refused = { sent, headers, subject: sent.subject, id, error };
      return this.ports.deadLetters.add(refused).then(
        () => "settled",
        (failed: unknown) => this.later(asCaxtonError(failed)),
      );
    }
  }

  private later({ code, message: reason, cause }: CaxtonError): SendOutcome {
    const { log, warnings } = this.ports;
    if (warnings.isDue(performance.now())) {
      log.warn({ code, reason, cause }, "messages of topics wait: they can't be accepted now");
    }
    return "later";
  }
}

/** An id is short, names may be long. */
function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
