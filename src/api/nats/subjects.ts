/**
 * The subjects and streams through which NATS clients reach agents.
 *
 * `caxton.v1.>` belongs to clients; what nodes make of it below `_caxton.<cluster>.>` is closed to them.
 */
import { CaxtonError } from "../../base/errors.ts";

const ROOT = "caxton.v1";

export const SEND_SUBJECTS = `${ROOT}.send.*.*.*`;
export const ASK_SUBJECTS = `${ROOT}.ask.*.*.*`;
export const EVENT_SUBJECTS = `${ROOT}.events.*.*.*`;
export const TOPIC_SUBJECTS = `${ROOT}.topic.>`;
export const DEAD_LETTER_SUBJECT = `${ROOT}.events.dead-letter`;

/** Where clients with an account of their own are told of errors: what begins with this comes over to them. */
const ERROR_SUBJECTS = `${ROOT}.errors.`;

export interface DoorSubjects {
  readonly cluster: string;
  readonly sendStream: string;
  readonly eventStream: string;
  readonly topicStream: string;
  readonly deadLetterStream: string;
  /** What the server makes of a subject of a client: the partition comes first. */
  readonly sendTransform: (partitions: number) => string;
  readonly sentTo: (partition: number) => string;
}

export function doorSubjectsOf(cluster: string): DoorSubjects {
  if (!/^[a-z0-9-]{1,63}$/.test(cluster)) {
    const text = `The cluster name "${cluster}" must match [a-z0-9-]{1,63}.`;
    throw new CaxtonError("INVALID_CONFIG", text);
  }
  const sent = `_caxton.${cluster}.send`;
  const name = (what: string): string => `CAXTON_${cluster}_${what}`;
  return {
    cluster,
    sendStream: name("SEND"),
    eventStream: name("EVENTS"),
    topicStream: name("TOPICS"),
    deadLetterStream: name("DEAD_LETTERS"),
    // The hash runs over the three tokens without what is between them, as that of an address does.
    sendTransform: (partitions) =>
      `${sent}.{{partition(${partitions},1,2,3)}}.{{wildcard(1)}}.{{wildcard(2)}}.{{wildcard(3)}}`,
    sentTo: (partition) => `${sent}.${partition}.*.*.*`,
  };
}

/** The address that the last three tokens of a subject stand for; the kernel says whether it is one. */
export function addressOf(subject: string): string {
  return subject.split(".").slice(-3).join("/");
}

/** The subject that a client published to. */
export function sendSubjectOf(stored: string): string {
  return `${ROOT}.send.${stored.split(".").slice(-3).join(".")}`;
}

export function topicSubjectOf(topic: string): string {
  return `${ROOT}.topic.${topic}`;
}

export function topicOf(subject: string): string {
  return subject.slice(`${ROOT}.topic.`.length);
}

/** `address` with its key escaped, as messages carry it. */
export function eventSubjectOf(address: string): string {
  return `${ROOT}.events.${address.replaceAll("/", ".")}`;
}

/**
 * Whether the node may publish there because a client says so. It may write anywhere, the client may not:
 * an answer to `$JS.API.…` or to a subject of the log would be an order given in the node's name.
 */
export function isClientSubject(subject: string): boolean {
  if (subject.length > 1024 || !/^[\x21-\x7e]+$/.test(subject)) return false;
  const tokens = subject.split(".");
  if (tokens.some((token) => token === "" || token === "*" || token === ">")) return false;
  if (subject.startsWith(ERROR_SUBJECTS)) return true;
  const isOurs = tokens[0] === "_caxton" || subject.startsWith(`${ROOT}.`);
  return !isOurs && !subject.startsWith("$");
}
