/**
 * Every subject and every stream name that Caxton uses in NATS.
 *
 * `_caxton.<cluster>.>` is closed to clients: only nodes may write there.
 */
import { CaxtonError } from "../../base/errors.ts";

/** Few streams: each has a leader, files and timers of its own. */
const PARTITIONS_PER_STREAM = 16;

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
  /** Says whether the node that used the streams last stopped cleanly. */
  readonly stopMark: string;
  readonly logStreams: (partitions: number) => LogStreamName[];
  readonly log: (partition: number) => string;
  readonly record: (key: string) => string;
  readonly keyOfRecord: (subject: string) => string;
  readonly blobHead: (sha256: string) => string;
  readonly blobChunk: (sha256: string, chunk: number) => string;
  readonly wholeBlob: (sha256: string) => string;
  readonly hashOfBlobHead: (subject: string) => string;
}

/** Where answers to nodes go: what NATS clients may read is another matter. */
export function inboxPrefixOf(cluster: string): string {
  return `_caxton.${cluster}.inbox`;
}

export interface LogStreamName {
  readonly stream: string;
  readonly partitions: readonly number[];
}

export function subjectsOf(cluster: string): Subjects {
  if (!/^[a-z0-9-]{1,63}$/.test(cluster)) {
    const text = `storage.nats.cluster "${cluster}" must match [a-z0-9-]{1,63}.`;
    throw new CaxtonError("INVALID_CONFIG", text);
  }
  const root = `_caxton.${cluster}`;
  const name = (what: string): string => `CAXTON_${cluster}_${what}`;
  return {
    cluster,
    recordStream: name("RECORDS"),
    blobStream: name("BLOBS"),
    recordStreamSubjects: [`${root}.record.*`, `${root}.mark.*`],
    blobStreamSubjects: [`${root}.blob.*.*`],
    allRecords: `${root}.record.*`,
    allBlobHeads: `${root}.blob.*.head`,
    stopMark: `${root}.mark.stop`,
    logStreams: (partitions) => logStreamsOf(name("LOG"), partitions),
    log: (partition) => `${root}.log.${partition}`,
    record: (key) => `${root}.record.${encodeKey(key)}`,
    keyOfRecord: (subject) => decodeKey(lastToken(subject)),
    blobHead: (sha256) => `${root}.blob.${sha256}.head`,
    blobChunk: (sha256, chunk) => `${root}.blob.${sha256}.${chunk}`,
    wholeBlob: (sha256) => `${root}.blob.${sha256}.*`,
    hashOfBlobHead: (subject) => subject.split(".").at(-2) ?? "",
  };
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

function lastToken(subject: string): string {
  return subject.slice(subject.lastIndexOf(".") + 1);
}
