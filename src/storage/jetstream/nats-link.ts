/**
 * Requests over one NATS connection, none of which waits for ever.
 *
 * Owns a subscription for the answers and the requests that wait for one.
 * 1. A request is settled once: by its answer, when its time is over, or when the connection is lost or the
 *    stream it is for gets another leader, for then nothing says whether it took effect.
 * 2. Nothing is handed to a connection that is known to be away: it would keep it and send it much later.
 */
import {
  createInbox,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  type Subscription,
} from "@nats-io/transport-node";
import { CaxtonError, ensureError } from "../../base/errors.ts";
import { type Room, UNKNOWN_ROOM } from "./room.ts";
import { StuckStreams } from "./stuck-streams.ts";

export type Answer =
  | { readonly kind: "answered"; readonly data: Uint8Array }
  /** It may have arrived or not, and may still arrive. */
  | { readonly kind: "lost"; readonly cause: string; readonly isLate?: true };

export interface RequestOptions {
  readonly headers?: MsgHdrs;
  /** Whose leader is to answer. */
  readonly stream?: string;
}

interface Waiting {
  readonly stream: string | undefined;
  readonly settle: (answer: Answer) => void;
  readonly timer: NodeJS.Timeout;
}

/** How long one answer is waited for. */
const ANSWER_WAIT_MS = 5000;
const NO_RESPONDERS = 503;

export class NatsLink {
  readonly connection: NatsConnection;
  readonly room: Room;
  readonly stuck: StuckStreams;
  readonly answerWaitMs: number;
  readonly #inbox: string;
  readonly #subscriptions: Subscription[];
  readonly #waiting = new Map<string, Waiting>();
  readonly #waitingForIt = new Set<() => void>();
  #requests = 0;
  #isAway = false;
  #isEnding = false;
  #isClosed = false;

  constructor(
    connection: NatsConnection,
    inboxPrefix: string,
    room = UNKNOWN_ROOM,
    answerWaitMs = ANSWER_WAIT_MS,
  ) {
    this.connection = connection;
    this.room = room;
    this.answerWaitMs = answerWaitMs;
    this.stuck = new StuckStreams(room, answerWaitMs);
    this.#inbox = createInbox(inboxPrefix);
    const answered = this.#subscribe(`${this.#inbox}.*`, (message) => this.#answered(message));
    this.#subscriptions = [answered];
    void this.#follow();
  }

  /** What the server takes in one message now. */
  get payloadBytesMax(): number {
    return this.connection.info?.max_payload ?? 0;
  }

  /** Nobody should try again. */
  get isEnding(): boolean {
    return this.#isEnding;
  }

  /** Storage is about to be closed: from now on nobody waits for a connection that is away. */
  end(): void {
    this.#isEnding = true;
    for (const resume of [...this.#waitingForIt]) resume();
  }

  async request(
    subject: string,
    payload: Uint8Array | string,
    { headers, stream }: RequestOptions = {},
  ): Promise<Answer> {
    if (this.#isClosed) throw new CaxtonError("NOT_READY", "Storage is closed.");
    if (this.#isAway && this.#isEnding) return lost("there is no connection");
    if (this.#isAway && !(await this.#comesBack())) return lost("there is no connection");
    return new Promise((settle) => {
      const token = (this.#requests++).toString(36);
      const timer = setTimeout(() => {
        const cause = `no answer within ${this.answerWaitMs} ms`;
        this.#settle(token, { kind: "lost", cause, isLate: true });
      }, this.answerWaitMs);
      this.#waiting.set(token, { stream, settle, timer });
      const reply = `${this.#inbox}.${token}`;
      try {
        const options = headers === undefined ? { reply } : { reply, headers };
        this.connection.publish(subject, payload, options);
      } catch (error) {
        this.#settle(token, lost(ensureError(error).message));
      }
    });
  }

  /** What waits for an answer of the old leader is settled when the servers say that there is a new one. */
  followLeader(stream: string): void {
    const advisory = `$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.${stream}`;
    const changed = (): void => {
      for (const [token, waiting] of [...this.#waiting]) {
        if (waiting.stream === stream) this.#settle(token, lost("the stream has a new leader"));
      }
    };
    this.#subscriptions.push(this.#subscribe(advisory, changed));
  }

  /** The connection stays open: it is not ours. */
  close(): void {
    this.#isClosed = true;
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    this.#loseAll("storage is closed");
  }

  #subscribe(subject: string, take: (message: Msg) => void): Subscription {
    return this.connection.subscribe(subject, {
      // An error is a lack of permission: then there is no hint, and requests wait their time.
      callback: (error, message) => {
        if (error === null) take(message);
      },
    });
  }

  async #follow(): Promise<void> {
    for await (const status of this.connection.status()) {
      if (status.type === "disconnect" || status.type === "close") {
        this.#isAway = true;
        this.#loseAll("the connection was lost");
      } else if (status.type === "reconnect") {
        this.#isAway = false;
        for (const resume of [...this.#waitingForIt]) resume();
      }
    }
  }

  #answered(message: Msg): void {
    const token = message.subject.slice(this.#inbox.length + 1);
    const hasNone = message.headers?.code === NO_RESPONDERS && message.data.length === 0;
    this.#settle(
      token,
      hasNone ? lost("no server answers for it now") : { kind: "answered", data: message.data },
    );
  }

  #settle(token: string, answer: Answer): void {
    const waiting = this.#waiting.get(token);
    if (waiting === undefined) return;
    this.#waiting.delete(token);
    clearTimeout(waiting.timer);
    waiting.settle(answer);
  }

  #loseAll(cause: string): void {
    for (const token of [...this.#waiting.keys()]) this.#settle(token, lost(cause));
  }

  #comesBack(): Promise<boolean> {
    return new Promise((resolve) => {
      const resume = (): void => {
        this.#waitingForIt.delete(resume);
        clearTimeout(timer);
        resolve(!this.#isAway);
      };
      const timer = setTimeout(resume, this.answerWaitMs);
      this.#waitingForIt.add(resume);
    });
  }
}

function lost(cause: string): Answer {
  return { kind: "lost", cause };
}
