/**
 * Subscribers of messages. A slow one is cut off and costs the others nothing.
 *
 * 1. Workers post messages only while there is a subscriber.
 */
import { CaxtonError } from "../base/errors.ts";
import type { Message, MessageFilter, MessageSubscriber } from "./kernel.ts";
import { decodeMessage } from "./wasm/envelope.ts";
import type { FromWorker } from "./worker-protocol.ts";

export class Subscriptions {
  private readonly subscribers = new Set<MessageSubscriber>();
  private readonly observe: (on: boolean) => void;

  constructor(observe: (on: boolean) => void) {
    this.observe = observe;
  }

  /** Returns the function that ends the subscription. */
  add(subscriber: MessageSubscriber): () => void {
    this.subscribers.add(subscriber);
    if (this.subscribers.size === 1) this.observe(true);
    return () => {
      this.remove(subscriber);
    };
  }

  private remove(subscriber: MessageSubscriber): void {
    if (this.subscribers.delete(subscriber) && this.subscribers.size === 0) this.observe(false);
  }

  publish(posted: Extract<FromWorker, { kind: "messages" }>): void {
    if (this.subscribers.size === 0) return;
    const { partition, frame } = posted;
    const bytes = Buffer.from(posted.bytes.buffer, posted.bytes.byteOffset, posted.bytes.length);
    for (const { offset } of posted.messages) {
      const message = decodeMessage(bytes, offset);
      for (const subscriber of this.subscribers) {
        if (!matches(subscriber.filter, message)) continue;
        if (subscriber.deliver({ message, partition, frame })) continue;
        this.remove(subscriber);
        subscriber.closed(new CaxtonError("SUBSCRIBER_TOO_SLOW"));
      }
    }
  }

  close(): void {
    for (const subscriber of this.subscribers) subscriber.closed(undefined);
    this.subscribers.clear();
  }
}

function matches(filter: MessageFilter, message: Message): boolean {
  const { address = "", performatives = [], conversationId } = filter;
  const isAddressed =
    address === "" || isUnder(message.receiver, address) || isUnder(message.sender, address);
  const isPerformative = performatives.length === 0 || performatives.includes(message.performative);
  const isConversation = conversationId === undefined || message.conversationId === conversationId;
  return isAddressed && isPerformative && isConversation;
}

/** `default/counter` covers `default/counter/a` but not `default/counters/a`. */
function isUnder(address: string, prefix: string): boolean {
  return address === prefix || address.startsWith(prefix.endsWith("/") ? prefix : `${prefix}/`);
}
