/**
 * Every subject and every stream name that Caxton uses in NATS.
 *
 * `caxton.v1.>` belongs to clients. `_caxton.<cluster>.>` is closed to them: only nodes write there, and what
 * servers make of messages of clients.
 */
import { CaxtonError } from "./errors.ts";

const ROOT = "caxton.v1";
const NODES_ROOT = "_caxton";

export const CLIENT_SUBJECTS = `${ROOT}.>`;
export const SEND_SUBJECTS = `${ROOT}.send.*.*.*`;
export const ASK_SUBJECTS = `${ROOT}.ask.*.*.*`;
export const EVENT_SUBJECTS = `${ROOT}.events.*.*.*`;
export const TOPIC_SUBJECTS = `${ROOT}.topic.>`;
export const DEAD_LETTER_SUBJECT = `${ROOT}.events.dead-letter`;
export const ALL_SEND_SUBJECTS = `${ROOT}.send.>`;
export const ALL_ASK_SUBJECTS = `${ROOT}.ask.>`;
/** Those of dead letters too. */
export const ALL_EVENT_SUBJECTS = `${ROOT}.events.>`;
/** Where clients with an account of their own are told of errors: what begins so comes over to them. */
const ERROR_ROOT = `${ROOT}.errors.`;
export const ERROR_SUBJECTS = `${ERROR_ROOT}>`;

/** Few streams: each has a leader, files and timers of its own. */
const PARTITIONS_PER_STREAM = 16;

/** What the storage engine keeps. */
export interface Subjects {
  readonly cluster: string;
  readonly recordStream: string;
  readonly blobStream: string;
  /** What the record stream takes. */
  readonly recordStreamSubjects: readonly string[];
  readonly blobStreamSubjects: readonly string[];
  /** Every record, and nothing else. */
  readonly allRecords: string;
  /** The last message of every whole blob. */
  readonly allBlobHeads: string;
  readonly allBlobMessages: string;
  /** Says whether the node that used the streams last stopped cleanly. */
  readonly stopMark: string;
  readonly logStreams: (partitions: number) => LogStreamName[];
  readonly log: (partition: number) => string;
  readonly record: (key: string) => string;
  readonly keyOfRecord: (subject: string) => string;
  readonly blobHead: (sha256: string) => string;
  readonly blobChunk: (sha256: string, chunk: number) => string;
  readonly wholeBlob: (sha256: string) => string;
  /** Of a head or a chunk. */
  readonly hashOfBlob: (subject: string) => string;
}

export interface LogStreamName {
  readonly stream: string;
  readonly partitions: readonly number[];
}

export function subjectsOf(cluster: string): Subjects {
  const root = rootOf(cluster);
  const name = streamNames(cluster);
  return {
    cluster,
    recordStream: name("RECORDS"),
    blobStream: name("BLOBS"),
    recordStreamSubjects: [`${root}.record.*`, `${root}.mark.*`],
    blobStreamSubjects: [`${root}.blob.*.*`],
    allRecords: `${root}.record.*`,
    allBlobHeads: `${root}.blob.*.head`,
    allBlobMessages: `${root}.blob.*.*`,
    stopMark: `${root}.mark.stop`,
    logStreams: (partitions) => logStreamsOf(name("LOG"), partitions),
    log: (partition) => `${root}.log.${partition}`,
    record: (key) => `${root}.record.${encodeKey(key)}`,
    keyOfRecord: (subject) => decodeKey(subject.split(".").at(-1) ?? ""),
    blobHead: (sha256) => `${root}.blob.${sha256}.head`,
    blobChunk: (sha256, chunk) => `${root}.blob.${sha256}.${chunk}`,
    wholeBlob: (sha256) => `${root}.blob.${sha256}.*`,
    hashOfBlob: (subject) => subject.split(".").at(-2) ?? "",
  };
}

/** Through which NATS clients reach agents. */
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
  const sent = `${rootOf(cluster)}.send`;
  const name = streamNames(cluster);
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

/** Where answers to nodes go: what NATS clients may read is another matter. */
export function inboxPrefixOf(cluster: string): string {
  return `${rootOf(cluster)}.inbox`;
}

/** The address that the last three tokens of a subject stand for; the kernel says whether it is one. */
export function addressOf(subject: string): string {
  return lastThreeOf(subject).replaceAll(".", "/");
}

function lastThreeOf(subject: string): string {
  const third = subject.lastIndexOf(".");
  const second = subject.lastIndexOf(".", third - 1);
  return subject.slice(subject.lastIndexOf(".", second - 1) + 1);
}

/** Of a message of the send stream. */
export function sentPartitionOf(stored: string): number {
  return Number(stored.split(".", 4)[3]);
}

/** The subject that a client published to. */
export function sendSubjectOf(stored: string): string {
  return `${ROOT}.send.${lastThreeOf(stored)}`;
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
  if (subject.startsWith(ERROR_ROOT)) return true;
  const isOurs = tokens[0] === NODES_ROOT || subject.startsWith(`${ROOT}.`);
  return !isOurs && !subject.startsWith("$");
}

function rootOf(cluster: string): string {
  if (/^[a-z0-9-]{1,63}$/.test(cluster)) return `${NODES_ROOT}.${cluster}`;
  const text = `storage.nats.cluster "${cluster}" must match [a-z0-9-]{1,63}.`;
  throw new CaxtonError("INVALID_CONFIG", text);
}

function streamNames(cluster: string): (what: string) => string {
  return (what) => `CAXTON_${cluster}_${what}`;
}

function logStreamsOf(name: string, partitions: number): LogStreamName[] {
  const streams: LogStreamName[] = [];
  for (let first = 0; first < partitions; first += PARTITIONS_PER_STREAM) {
    const count = Math.min(PARTITIONS_PER_STREAM, partitions - first);
    const own = Array.from({ length: count }, (_, i) => first + i);
    streams.push({ stream: `${name}_${streams.length}`, partitions: own });
  }
  return streams;
}

/** A key may be any text and may be empty; a token of a subject may not. */
function encodeKey(key: string): string {
  return `k${Buffer.from(key).toString("base64url")}`;
}

function decodeKey(token: string): string {
  return Buffer.from(token.slice(1), "base64url").toString();
}
