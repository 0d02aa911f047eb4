/**
 * Subscribers of messages.
 *
 * 1. Workers post messages only while there is a subscriber.
 */
import { Subscribers } from "./subscribers.ts";
import { decodeMessage } from "./wasm/envelope.ts";
import type { MessageEvent, MessageFilter, MessageSubscriber } from "./watch.ts";
import type { FromWorker } from "./worker-protocol.ts";

export class Subscriptions {
  private readonly subscribers = new Subscribers<MessageFilter, MessageEvent>(matches);
  private readonly observe: (on: boolean) => void;

  constructor(observe: (on: boolean) => void) {
    this.observe = observe;
  }

  /** Returns the function that ends the subscription. */
  add(subscriber: MessageSubscriber): () => void {
    this.subscribers.add(subscriber);
    if (this.subscribers.size === 1) this.observe(true);
    return () => {
      if (this.subscribers.remove(subscriber)) this.observeWhileWatched();
    };
  }

  publish(posted: Extract<FromWorker, { kind: "messages" }>): void {
    if (this.subscribers.size === 0) return;
    const { partition, frame } = posted;
    const bytes = Buffer.from(posted.bytes.buffer, posted.bytes.byteOffset, posted.bytes.length);
    for (const { offset } of posted.messages) {
      this.subscribers.publish({ message: decodeMessage(bytes, offset), partition, frame });
    }
    this.observeWhileWatched();
  }

  close(): void {
    this.subscribers.close();
  }

  private observeWhileWatched(): void {
    if (this.subscribers.size === 0) this.observe(false);
  }
}

function matches(filter: MessageFilter, { message }: MessageEvent): boolean {
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
