/**
 * Those who watch something as it happens. A slow one is cut off and costs the others nothing.
 */
import { CaxtonError } from "../base/errors.ts";
import type { Subscriber } from "./watch.ts";

export class Subscribers<F, E> {
  private readonly subscribers = new Set<Subscriber<F, E>>();
  private readonly matches: (filter: F, event: E) => boolean;

  constructor(matches: (filter: F, event: E) => boolean) {
    this.matches = matches;
  }

  get size(): number {
    return this.subscribers.size;
  }

  add(subscriber: Subscriber<F, E>): void {
    this.subscribers.add(subscriber);
  }

  remove(subscriber: Subscriber<F, E>): boolean {
    return this.subscribers.delete(subscriber);
  }

  publish(event: E): void {
    for (const subscriber of this.subscribers) {
      if (!this.matches(subscriber.filter, event) || subscriber.deliver(event)) continue;
      this.remove(subscriber);
      subscriber.closed(new CaxtonError("SUBSCRIBER_TOO_SLOW"));
    }
  }

  close(why: CaxtonError | undefined): void {
    for (const subscriber of this.subscribers) subscriber.closed(why);
    this.subscribers.clear();
  }
}
