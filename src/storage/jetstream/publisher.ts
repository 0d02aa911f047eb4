/** One message into a stream, and what became of it. */
import { setTimeout as wait } from "node:timers/promises";
import { headers as createHeaders } from "@nats-io/transport-node";
import { CaxtonError } from "../../base/errors.ts";
import { INSUFFICIENT_STORAGE, unavailable } from "./jetstream-api.ts";
import type { Answer, NatsLink } from "./nats-link.ts";

export type PublishOutcome =
  | { readonly kind: "acked"; readonly streamSequence: number }
  /** It may be in the stream, or come into it yet. */
  | { readonly kind: "unknown"; readonly cause: string }
  /** Another message is the newest of the subject. */
  | { readonly kind: "mismatch"; readonly newest: number }
  /** Not in the stream. */
  | { readonly kind: "full"; readonly cause: string };

export interface Publication {
  readonly stream: string;
  readonly subject: string;
  readonly body: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
  /** Stream sequence of the newest message of the subject, 0 for none; without it, whatever there is. */
  readonly expected?: number;
}

const EXPECTED_HEADER = "Nats-Expected-Last-Subject-Sequence";
const WRONG_LAST_SEQUENCE = 10071;
const STORE_FAILED = 10077;
const TRIES_MS_MAX = 15_000;
const RETRY_MS_MIN = 25;
const RETRY_MS_MAX = 1000;

interface PublishAnswer {
  readonly seq?: number;
  readonly stream?: string;
  readonly error?: {
    readonly code: number;
    readonly err_code?: number;
    readonly description?: string;
  };
}

export async function publish(
  link: NatsLink,
  { stream, subject, body, headers, expected }: Publication,
): Promise<PublishOutcome> {
  const lack = link.room.lack();
  if (lack !== undefined) return { kind: "full", cause: lack };
  const all = createHeaders();
  for (const [name, value] of Object.entries(headers)) all.set(name, value);
  if (expected !== undefined) all.set(EXPECTED_HEADER, String(expected));
  const answer = await link.request(subject, body, { headers: all, stream });
  if (answer.kind === "lost")
    return { kind: "unknown", cause: await whyLost(link, stream, answer) };
  const outcome = outcomeOf(parse(answer));
  if (outcome.kind === "acked") link.stuck.acknowledged(stream);
  return outcome;
}

/** Servers that are away are told from one that is there and can't write. */
async function whyLost(
  link: NatsLink,
  stream: string,
  { cause, isLate }: Extract<Answer, { kind: "lost" }>,
): Promise<string> {
  if (isLate !== true) return cause;
  const info = await link.request(`$JS.API.STREAM.INFO.${stream}`, "", { stream });
  if (info.kind === "lost" || parse(info).error !== undefined) return cause;
  link.stuck.silent(stream);
  const why = "its leader is there but stores nothing";
  return `${cause} from ${stream}: ${why}; is its disk full? Its log says so. Make room, then start it again`;
}

function parse({ data }: Extract<Answer, { kind: "answered" }>): PublishAnswer {
  return JSON.parse(new TextDecoder().decode(data)) as PublishAnswer;
}

function outcomeOf({ seq, stream, error }: PublishAnswer): PublishOutcome {
  if (error === undefined) {
    if (seq !== undefined && stream !== undefined) return { kind: "acked", streamSequence: seq };
    return { kind: "unknown", cause: "an answer that is none of JetStream's" };
  }
  const { err_code: number = 0, description = "" } = error;
  if (number === WRONG_LAST_SEQUENCE) {
    const newest = /: (\d+)$/.exec(description)?.[1];
    if (newest !== undefined) return { kind: "mismatch", newest: Number(newest) };
  }
  const cause = `${description} (JetStream error ${number})`;
  if (number === STORE_FAILED && description.includes("maximum")) {
    return { kind: "full", cause: `storage.sizeBytesMax is reached: ${cause}` };
  }
  const isFull = number === STORE_FAILED && description.includes("no space");
  if (isFull || INSUFFICIENT_STORAGE.includes(number)) return { kind: "full", cause };
  return { kind: "unknown", cause };
}

/** For what may be stored twice: sent until it is acknowledged, for a bounded time. Returns where it is in its stream. */
export async function publishUntilAcked(link: NatsLink, publication: Publication): Promise<number> {
  const ends = performance.now() + TRIES_MS_MAX;
  for (let waitMs = RETRY_MS_MIN; ; waitMs = Math.min(waitMs * 2, RETRY_MS_MAX)) {
    const outcome = await publish(link, publication);
    if (outcome.kind === "acked") return outcome.streamSequence;
    if (outcome.kind === "full") throw full(outcome.cause);
    const cause = outcome.kind === "unknown" ? outcome.cause : "somebody else writes there";
    const isLastTry = performance.now() >= ends || link.isEnding;
    if (isLastTry) throw unavailable(`${publication.subject}: ${cause}`);
    await wait(waitMs);
  }
}

export function full(cause: string): CaxtonError {
  return new CaxtonError("STORAGE_FULL", `The storage servers have no room: ${cause}.`);
}
