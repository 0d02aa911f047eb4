/**
 * One client's stream: sends 1, 2, 3 and so on to one actor, several at once, some as asks.
 * 1. A number keeps its id and is sent until it is answered.
 * 2. Numbers go out in order; after a crash the unanswered ones go first.
 */
import { ensureError } from "../../src/base/errors.ts";
import { bytes, type Wire, WireError } from "../support/wire.ts";

const IN_FLIGHT_MAX = 6;
/** Every so many numbers one is an ask. */
const ASK_EVERY = 3;

export class ClientStream {
  readonly name: string;
  /** Whose books it is in. */
  readonly receiver: string;
  readonly sink: string;
  /** Where it sends to: the receiver, or who brings it there. */
  readonly #via: string;
  readonly #unanswered = new Set<number>();
  sent = 0;
  resent = 0;
  duplicates = 0;

  constructor(name: string, receiver: string, sink: string, via = receiver) {
    this.name = name;
    this.receiver = receiver;
    this.sink = sink;
    this.#via = via;
  }

  get inFlight(): number {
    return this.#unanswered.size;
  }

  get answered(): number {
    return this.sent - this.#unanswered.size;
  }

  /**
   * Sends what is unanswered and then new numbers while `more` says so. Resolves when all are answered or
   * the connection is lost; rejects when the server refuses or an answer is wrong.
   */
  run(wire: Wire, more: () => boolean, answered: () => void): Promise<void> {
    const again = [...this.#unanswered];
    this.resent += again.length;
    let underWay = 0;
    let isLost = false;
    return new Promise((resolve, reject) => {
      const fill = (): void => {
        while (!isLost && underWay < IN_FLIGHT_MAX) {
          const n = again.shift() ?? (more() ? this.#next() : undefined);
          if (n === undefined) break;
          underWay++;
          this.#request(wire, n).then(
            () => {
              underWay--;
              answered();
              fill();
            },
            (error: unknown) => {
              underWay--;
              isLost = true;
              if (isLoss(error)) fill();
              else reject(ensureError(error));
            },
          );
        }
        if (underWay === 0) resolve();
      };
      fill();
    });
  }

  #next(): number {
    this.#unanswered.add(++this.sent);
    return this.sent;
  }

  async #request(wire: Wire, n: number): Promise<void> {
    const message = {
      receiver: this.#via,
      id: `${this.name}-${n}`,
      client: this.name,
      contentType: "text/plain",
      content: bytes(`${this.name} ${n} ${this.sink}`),
    };
    if (n % ASK_EVERY === 0) {
      const { duplicate, reply } = await wire.ask(message);
      const text = Buffer.from(reply!.content).toString();
      if (text !== String(n)) throw new Error(`${message.id} was answered with ${text}`);
      if (duplicate) this.duplicates++;
    } else {
      const { duplicate } = await wire.send(message);
      if (duplicate) this.duplicates++;
    }
    this.#unanswered.delete(n);
  }
}

/** A server that answers says why it refuses; a dead one does not. */
export function isLoss(error: unknown): boolean {
  return error instanceof WireError && error.detail === undefined;
}
