/**
 * Feeds messages in their order, several in flight, and keeps which were acknowledged.
 * 1. A message keeps its id, so that sending it again takes effect once.
 * 2. An acknowledged message is never sent again.
 */
import type { CaxtonError } from "../../sdk/client-ts/index.ts";
import { setTimeout as sleep } from "node:timers/promises";
import type { Api } from "./api.ts";

export const IN_FLIGHT_MAX = 16;
/** The node's backlog is looked at after so many messages, and waited for above the bound. */
const LOOK_EVERY = 64;
const BACKLOG_MAX = 20_000;
const PAUSE_MS = 20;

/** What feeding needs of the API. */
export type Inlet = Pick<Api, "send" | "facts">;

export class Feeder {
  readonly #receivers: readonly string[];
  readonly #messages: readonly string[];
  readonly #isAcked: boolean[];
  #acked = 0;
  #inFlight = 0;

  /** The receivers take turns. */
  constructor(receivers: readonly string[], messages: readonly string[]) {
    this.#receivers = receivers;
    this.#messages = messages;
    this.#isAcked = messages.map(() => false);
  }

  get acked(): number {
    return this.#acked;
  }

  /** Sent and not answered yet. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Index of the first message without acknowledgement: where feeding goes on. */
  get position(): number {
    const index = this.#isAcked.indexOf(false);
    return index < 0 ? this.#messages.length : index;
  }

  /**
   * Sends what has no acknowledgement below index `end`. Resolves with what ended it early, when all
   * calls have come back.
   */
  async feed(api: Inlet, end: number, acked: () => void): Promise<CaxtonError | undefined> {
    let next = this.position;
    let sinceLook = 0;
    let room = Promise.resolve();
    let failure: CaxtonError | undefined;
    const lane = async (): Promise<void> => {
      while (failure === undefined && next < end) {
        const index = next++;
        if (this.#isAcked[index]) continue;
        if (++sinceLook % LOOK_EVERY === 0) room = roomIn(api);
        await room;
        this.#inFlight++;
        await this.#send(api, index).finally(() => this.#inFlight--);
        acked();
      }
    };
    const lanes = Array.from({ length: IN_FLIGHT_MAX }, () =>
      lane().catch((error: unknown) => {
        failure ??= error as CaxtonError;
      }),
    );
    await Promise.all(lanes);
    return failure;
  }

  async #send(api: Inlet, index: number): Promise<void> {
    const receiver = this.#receivers[index % this.#receivers.length]!;
    for (;;) {
      try {
        await api.send(receiver, `words-${String(index)}`, this.#messages[index]!);
        this.#isAcked[index] = true;
        this.#acked++;
        return;
      } catch (error) {
        if ((error as CaxtonError).status !== "RESOURCE_EXHAUSTED") throw error;
        await sleep(PAUSE_MS);
      }
    }
  }
}

async function roomIn(api: Inlet): Promise<void> {
  while ((await api.facts()).pending > BACKLOG_MAX) await sleep(PAUSE_MS);
}
