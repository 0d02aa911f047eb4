/**
 * The streams of one Caxton cluster: made when none is there, else compared with what the configuration says.
 *
 * 1. Nothing is changed before everything that is there was found right.
 * 2. The record stream is made last: where it is, all others were, and one that is missing was lost.
 * 3. What a stream was made for travels with it, in its metadata.
 */
import { setTimeout as wait } from "node:timers/promises";
import { CaxtonError } from "../../base/errors.ts";
import type { Subjects } from "../../base/nats-subjects.ts";
import {
  INSUFFICIENT_STORAGE,
  type JetStreamApi,
  JetStreamRefusal,
  STREAMS_MAX_REACHED,
  type StreamConfig,
  type StreamInfo,
  SUBJECTS_OVERLAP,
} from "./jetstream-api.ts";

export interface LayoutOptions {
  readonly subjects: Subjects;
  readonly partitions: number;
  readonly replicas: 1 | 3;
  /** Of all log streams together. */
  readonly bytesMax: number;
}

const FORMAT = 1;
const FORMAT_KEY = "caxton.format";
const PARTITIONS_KEY = "caxton.partitions";
const UNLIMITED = -1;
/** Too few servers: some may still be joining the cluster. */
const NO_SUITABLE_PEERS = 10005;
const PEERS_WAIT_MS_MAX = 10_000;
const RETRY_MS = 200;

/** Returns whether the streams were made now. */
export async function setUpLayout(api: JetStreamApi, options: LayoutOptions): Promise<boolean> {
  const wanted = wantedStreams(options);
  const found = await Promise.all(wanted.map(({ name }) => api.streamInfoIfAny(name)));
  for (const [i, info] of found.entries()) if (info !== undefined) compare(info, wanted[i]!);
  const missing = wanted.filter((_, i) => found[i] === undefined);
  const isMade = found.at(-1) !== undefined;
  const holdsData = found.some((info) => info !== undefined && info.state.last_seq > 0);
  if (missing.length > 0 && (isMade || holdsData)) throw isLost(missing);
  for (const config of missing) await create(api, config);
  for (const [i, info] of found.entries()) {
    if (info !== undefined) await resize(api, info, wanted[i]!);
  }
  return !isMade;
}

/** What each log stream may take. */
export function logStreamBytesMax({ subjects, partitions, bytesMax }: LayoutOptions): number {
  return Math.floor(bytesMax / subjects.logStreams(partitions).length);
}

function wantedStreams(options: LayoutOptions): StreamConfig[] {
  const { subjects, partitions, replicas } = options;
  const common = {
    storage: "file",
    retention: "limits",
    discard: "new",
    num_replicas: replicas,
    max_msgs: UNLIMITED,
    max_age: 0,
    deny_delete: true,
    deny_purge: false,
    // Followers would answer, with what they have.
    allow_direct: false,
    metadata: { [FORMAT_KEY]: String(FORMAT), [PARTITIONS_KEY]: String(partitions) },
  };
  const logs = subjects.logStreams(partitions).map(({ stream, partitions: own }) => ({
    ...common,
    name: stream,
    subjects: own.map((partition) => subjects.log(partition)),
    max_bytes: logStreamBytesMax(options),
    max_msgs_per_subject: UNLIMITED,
  }));
  const newestOnly = { ...common, max_bytes: UNLIMITED, max_msgs_per_subject: 1 };
  return [
    ...logs,
    { ...newestOnly, name: subjects.blobStream, subjects: subjects.blobStreamSubjects },
    { ...newestOnly, name: subjects.recordStream, subjects: subjects.recordStreamSubjects },
  ];
}

/** What can't differ, and what mends it. */
const COMPARED: readonly { readonly key: keyof StreamConfig; readonly mend: string }[] = [
  {
    key: "subjects",
    mend: "Name another storage.nats.cluster, or remove the stream if it is not wanted.",
  },
  { key: "num_replicas", mend: "Set storage.nats.replicas to what was found, or edit the stream." },
  ...(
    [
      "storage",
      "retention",
      "discard",
      "max_msgs",
      "max_age",
      "max_msgs_per_subject",
      "deny_delete",
      "deny_purge",
      "allow_direct",
    ] as const
  ).map((key) => ({ key, mend: "Somebody edited the stream: set it back." })),
];

function compare({ config }: StreamInfo, wanted: StreamConfig): void {
  const format = config.metadata?.[FORMAT_KEY];
  if (format === undefined) {
    const text = `Stream ${config.name} is there and was not made by Caxton.`;
    throw layoutError(text, "Name another storage.nats.cluster, or remove the stream.");
  }
  if (Number(format) > FORMAT) {
    const text = `Stream ${config.name} has format ${format}, this version reads ${FORMAT}.`;
    throw new CaxtonError("STORAGE_FORMAT_NEWER", text);
  }
  const partitions = config.metadata?.[PARTITIONS_KEY];
  const wantedPartitions = wanted.metadata?.[PARTITIONS_KEY];
  if (partitions !== wantedPartitions) {
    const text = `The streams were made for ${partitions} partitions, the configuration says ${wantedPartitions}.`;
    throw layoutError(text, `Set partitions.count to ${partitions}; it can't change later.`);
  }
  for (const { key, mend } of COMPARED) {
    const is = printed(config[key]);
    const should = printed(wanted[key]);
    if (is === should) continue;
    throw layoutError(`Stream ${config.name} has ${key} ${is}, expected was ${should}.`, mend);
  }
}

async function create(api: JetStreamApi, config: StreamConfig): Promise<void> {
  const ends = performance.now() + PEERS_WAIT_MS_MAX;
  for (;;) {
    try {
      await api.createStream(config);
      return;
    } catch (error) {
      if (!(error instanceof JetStreamRefusal)) throw error;
      if (error.number !== NO_SUITABLE_PEERS || performance.now() >= ends) {
        throw await explain(api, config, error);
      }
    }
    await wait(RETRY_MS);
  }
}

async function explain(
  api: JetStreamApi,
  { name, subjects, num_replicas, max_bytes }: StreamConfig,
  refusal: JetStreamRefusal,
): Promise<CaxtonError> {
  if (refusal.number === SUBJECTS_OVERLAP) {
    const owners = new Set<string>();
    for (const subject of subjects)
      for (const owner of await api.streamsOn(subject)) owners.add(owner);
    const text = `Stream ${[...owners].join(", ")} already takes subjects of ${name} (${subjects[0]}, ...).`;
    return layoutError(text, "Remove that stream, or name another storage.nats.cluster.");
  }
  if (INSUFFICIENT_STORAGE.includes(refusal.number)) {
    const text =
      `The NATS servers have no room for ${name} of ${max_bytes} bytes: ${refusal.message}. ` +
      "Lower storage.sizeBytesMax, or raise max_file_store of the servers or the account's limit.";
    return new CaxtonError("STORAGE_FULL", text, { cause: refusal });
  }
  if (refusal.number === STREAMS_MAX_REACHED) {
    const text = `The NATS servers have no room for stream ${name}: ${refusal.message}.`;
    return layoutError(text, "Raise max_streams of the account or of the servers.");
  }
  const text = `Stream ${name} with ${num_replicas} replicas can't be made: ${refusal.message}.`;
  return layoutError(text, "Look at storage.nats.replicas: three need three servers in a cluster.");
}

/** The one thing that may change. */
async function resize(
  api: JetStreamApi,
  { config }: StreamInfo,
  wanted: StreamConfig,
): Promise<void> {
  if (config.max_bytes === wanted.max_bytes) return;
  try {
    await api.updateStream({ ...config, max_bytes: wanted.max_bytes });
  } catch (error) {
    if (!(error instanceof JetStreamRefusal)) throw error;
    throw await explain(api, wanted, error);
  }
}

function isLost(missing: readonly StreamConfig[]): CaxtonError {
  const names = missing.map(({ name }) => name).join(", ");
  const text = `${names} is missing, though the other streams of the cluster are there.`;
  return layoutError(
    text,
    "Restore it from a backup; to begin anew, name another storage.nats.cluster.",
  );
}

function layoutError(text: string, mend: string): CaxtonError {
  return new CaxtonError("STORAGE_LAYOUT", `${text} ${mend}`);
}

function printed(value: unknown): string {
  return Array.isArray(value) ? [...(value as string[])].sort().join(",") : String(value);
}
