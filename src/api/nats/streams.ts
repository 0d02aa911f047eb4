/**
 * The streams of the door: made when they are not there, brought to what is wanted when they are ours, refused
 * when they are somebody else's.
 */
import {
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import { CaxtonError } from "../../base/errors.ts";
import {
  DEAD_LETTER_SUBJECT,
  type DoorSubjects,
  EVENT_SUBJECTS,
  SEND_SUBJECTS,
  TOPIC_SUBJECTS,
} from "../../base/nats-subjects.ts";

export interface StreamSizes {
  readonly sendBytesMax: number;
  /** How long one message may keep a stream of sends that is half full from being trimmed. */
  readonly sendStuckMs: number;
  readonly eventBytesMax: number;
  readonly eventAgeMs: number;
  readonly topicBytesMax: number;
  readonly topicAgeMs: number;
  readonly deadLetterBytesMax: number;
}

const MIB = 1024 * 1024;

export const STREAM_SIZES: StreamSizes = {
  sendBytesMax: 256 * MIB,
  sendStuckMs: 30_000,
  eventBytesMax: 256 * MIB,
  eventAgeMs: 7 * 86_400_000,
  topicBytesMax: 256 * MIB,
  topicAgeMs: 7 * 86_400_000,
  deadLetterBytesMax: 64 * MIB,
};

export interface StreamOptions extends StreamSizes {
  readonly subjects: DoorSubjects;
  readonly partitions: number;
  readonly replicas: number;
}

const OWNER_KEY = "caxton.door";
const DUPLICATE_WINDOW_MS = 120_000;
const STREAM_NOT_FOUND = 10059;
const SUBJECTS_OVERLAP = 10065;
const STREAMS_MAX_REACHED = 10027;
/** Of a server, of its cluster, of the account. */
const INSUFFICIENT_STORAGE: readonly number[] = [10023, 10047, 10002, 10028];

type Wanted = Partial<StreamConfig> & { readonly name: string };

export async function setUpStreams(jsm: JetStreamManager, options: StreamOptions): Promise<void> {
  for (const wanted of wantedStreams(options)) await setUp(jsm, wanted);
}

function wantedStreams(options: StreamOptions): Wanted[] {
  const { subjects, partitions, replicas } = options;
  const common = {
    storage: StorageType.File,
    num_replicas: replicas,
    duplicate_window: nanos(DUPLICATE_WINDOW_MS),
    metadata: { [OWNER_KEY]: subjects.cluster },
  };
  return [
    {
      ...common,
      name: subjects.sendStream,
      subjects: [SEND_SUBJECTS],
      subject_transform: { src: SEND_SUBJECTS, dest: subjects.sendTransform(partitions) },
      // What is done with goes by trimming: acknowledgements of single messages would cost more than the messages.
      retention: RetentionPolicy.Limits,
      // Who can't be taken in any more is told so, not forgotten.
      discard: DiscardPolicy.New,
      max_bytes: options.sendBytesMax,
    },
    {
      ...common,
      name: subjects.eventStream,
      subjects: [EVENT_SUBJECTS],
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      max_bytes: options.eventBytesMax,
      max_age: nanos(options.eventAgeMs),
    },
    {
      ...common,
      name: subjects.topicStream,
      subjects: [TOPIC_SUBJECTS],
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      max_bytes: options.topicBytesMax,
      max_age: nanos(options.topicAgeMs),
    },
    {
      ...common,
      name: subjects.deadLetterStream,
      subjects: [DEAD_LETTER_SUBJECT],
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      max_bytes: options.deadLetterBytesMax,
    },
  ];
}

async function setUp(jsm: JetStreamManager, wanted: Wanted): Promise<void> {
  const found = await configOf(jsm, wanted.name);
  if (found === undefined) {
    await jsm.streams.add(wanted).catch((error: unknown) => {
      throw explained(error, wanted);
    });
    return;
  }
  if (found.metadata?.[OWNER_KEY] !== wanted.metadata?.[OWNER_KEY]) {
    throw layoutError(`Stream ${wanted.name} is there and is not of this cluster's door.`);
  }
  if (found.retention !== wanted.retention || found.storage !== wanted.storage) {
    throw layoutError(`Stream ${wanted.name} has retention ${found.retention}: it was edited.`);
  }
  await jsm.streams.update(wanted.name, { ...found, ...wanted }).catch((error: unknown) => {
    throw explained(error, wanted);
  });
}

async function configOf(jsm: JetStreamManager, name: string): Promise<StreamConfig | undefined> {
  try {
    return (await jsm.streams.info(name)).config;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND) return undefined;
    throw error;
  }
}

function explained(error: unknown, { name, subjects = [], max_bytes = 0 }: Wanted): unknown {
  if (!(error instanceof JetStreamApiError)) return error;
  if (error.code === SUBJECTS_OVERLAP) {
    return layoutError(`Another stream takes ${subjects.join(", ")} already.`, error);
  }
  const why = `${error.message} (JetStream error ${String(error.code)})`;
  if (INSUFFICIENT_STORAGE.includes(error.code)) {
    const text =
      `The NATS servers have no room for ${name} of ${String(max_bytes)} bytes: ${why}. ` +
      "Raise max_file_store of the servers or the account's limit.";
    return new CaxtonError("STORAGE_FULL", text, { cause: error });
  }
  const mend =
    error.code === STREAMS_MAX_REACHED
      ? " Raise max_streams of the account or of the servers."
      : "";
  return layoutError(`Stream ${name} can't be made: ${why}.${mend}`, error);
}

function layoutError(text: string, cause?: unknown): CaxtonError {
  return new CaxtonError("STORAGE_LAYOUT", text, { cause });
}
