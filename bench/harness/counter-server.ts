/** Durable counters behind HTTP, whoever's server they are on: all that a comparison needs of either side. */
import type { Visits } from "../restate/protocol.ts";

export interface CounterServer {
  readonly endpoint: string;
  /** In words: what it runs with. */
  readonly configuration: string;
  /** Adds one message to the count; the answer has the count. */
  add(counter: string): Buffer;
  /** The answer has the count. */
  read(counter: string): Buffer;
  start(visits: Visits): Buffer;
  countIn(answer: Buffer): number;
  /** Messages that the counters have handled, whatever they asked. */
  handled(): Promise<number>;
}
