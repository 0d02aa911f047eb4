/**
 * Counters of a server that pass visits on to the next of them.
 *
 * Owns what each of them must have counted.
 */
import { setTimeout as wait } from "node:timers/promises";
import type { CounterServer } from "./counter-server.ts";
import type { HttpConnection } from "./http-connection.ts";
import { eachConcurrently } from "./wire.ts";

const COUNTERS = 1000;
const POLL_MS = 20;
const STANDSTILL_MS = 60_000;

export class CounterRing {
  readonly #server: CounterServer;
  readonly #connections: readonly HttpConnection[];
  readonly #expected = Array.from({ length: COUNTERS }, () => 0);

  constructor(server: CounterServer, connections: readonly HttpConnection[]) {
    this.#server = server;
    this.#connections = connections;
  }

  /** Resolves when so many chains of so many visits are done. */
  async run(chains: number, visits: number): Promise<void> {
    const starts: Buffer[] = [];
    for (let begun = 0; begun < chains; begun += COUNTERS) {
      const to = Math.min(COUNTERS, chains - begun);
      starts.push(this.#server.start({ from: 0, to, visits, counters: COUNTERS }));
      for (let from = 0; from < to; from++) this.#expect(from, visits);
    }
    const before = await this.#server.handled();
    await this.#all(starts);
    await this.#handled(before + starts.length + chains * visits);
  }

  /** Reads every count, and resolves with what they are together. */
  async verify(): Promise<number> {
    const reads = this.#expected.map((_, counter) => this.#server.read(String(counter)));
    const answers = await this.#all(reads);
    for (const [counter, answer] of answers.entries()) {
      const count = this.#server.countIn(answer);
      const expected = this.#expected[counter]!;
      if (count !== expected) {
        throw new Error(`counter ${counter} counted ${count} messages, ${expected} were sent`);
      }
    }
    return this.#expected.reduce((a, b) => a + b, 0);
  }

  #expect(from: number, visits: number): void {
    for (let visit = 0; visit < visits; visit++) this.#expected[(from + visit) % COUNTERS]!++;
  }

  async #all(requests: readonly Buffer[]): Promise<Buffer[]> {
    const answers: Buffer[] = [];
    const free = [...this.#connections];
    await eachConcurrently(requests.length, free.length, async (i) => {
      const connection = free.pop()!;
      answers[i] = await connection.request(requests[i]!);
      free.push(connection);
    });
    return answers;
  }

  async #handled(messages: number): Promise<void> {
    let giveUpAtMs = Infinity;
    for (let before = -1; ;) {
      const handled = await this.#server.handled();
      if (handled >= messages) return;
      if (Date.now() > giveUpAtMs) throw new Error(`only ${handled} of ${messages} were handled`);
      if (handled > before) giveUpAtMs = Date.now() + STANDSTILL_MS;
      before = handled;
      await wait(POLL_MS);
    }
  }
}
