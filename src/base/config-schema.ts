/** What can be configured, and the types that come of it. */
import { z } from "zod";
import { type NatsConfig, natsSchema, type StorageEngine } from "./config-nats.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

function count(
  min: number,
  max: number,
  byDefault: number,
  description: string,
  more: { readonly reloadable?: true } = {},
) {
  return z
    .int()
    .min(min)
    .max(max)
    .default(byDefault)
    .meta({ description, ...more });
}

/** A reload changes it: whoever uses it reads the value in force each time. */
const RELOADABLE = { reloadable: true } as const;

/** What fetch takes. */
function isCollectorUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url !== undefined && /^https?:$/.test(url.protocol) && url.username + url.password === "";
}

function listener(port: number, portDescription: string) {
  return z.strictObject({
    host: z.string().min(1).default("127.0.0.1").meta({ description: "Address to listen on." }),
    port: count(0, 65_535, port, `${portDescription} 0 takes a free one.`),
  });
}

const DAY_MS = 86_400_000;

const grpcListener = listener(50_051, "Port of the API for gRPC.").extend({
  streamsMax: count(1, 1_000_000, 10_000, "Calls open at once on one connection."),
  keepAliveMs: count(
    1000,
    DAY_MS,
    7_200_000,
    "Silence after which a connection is pinged, so that one whose client is gone is found. One that ends at its age is not pinged.",
  ),
  keepAliveTimeoutMs: count(
    100,
    600_000,
    20_000,
    "How long the answer to a ping may take before the connection is closed.",
  ),
  connectionAgeMs: count(
    0,
    DAY_MS,
    0,
    "Age, give or take a tenth, at which a connection takes no new calls, so that clients spread over the nodes behind a load balancer. 0 is no bound.",
  ),
  connectionAgeGraceMs: count(
    0,
    DAY_MS,
    30_000,
    "How long calls under way may last on a connection that reached its age.",
  ),
});

const restListener = listener(8080, "Port of the API for HTTP.").extend({
  corsOrigins: z
    .string()
    .refine((text) => text === "" || text.split(",").every(isOrigin), {
      error: "must be origins such as https://example.org, separated by commas, or *",
    })
    .default("")
    .meta({
      description:
        "Origins whose pages may call, separated by commas; * allows all of them. Empty allows none.",
      ...RELOADABLE,
    }),
});

function isOrigin(text: string): boolean {
  const origin = text.trim();
  return origin === "*" || URL.parse(origin)?.origin === origin;
}

const limitsSchema = z
  .strictObject({
    messageBytesMax: count(1, MIB, 256 * KIB, "Content of one message.", RELOADABLE),
    effectsBytesMax: count(1, MIB, 512 * KIB, "Effects of one turn."),
    frameBytesMax: count(
      64 * KIB,
      MIB - 16 * KIB,
      MIB - 16 * KIB,
      "One group commit of a partition. Must exceed effectsBytesMax.",
    ),
    moduleBytesMax: count(1, 256 * MIB, 16 * MIB, "A module or source bundle to deploy."),
    bundleBytesMax: count(
      KIB,
      16 * MIB,
      MIB,
      "The program a TypeScript agent is bundled into; every actor holds it in memory.",
    ),
    inflightBytesMax: count(
      MIB,
      4 * GIB,
      64 * MIB,
      "Messages from clients on the way to a frame, per worker.",
    ),
    subscriberBytesMax: count(
      64 * KIB,
      GIB,
      4 * MIB,
      "Messages waiting for one subscriber before it is cut off.",
      RELOADABLE,
    ),
    agentLogBytesMax: count(
      16 * KIB,
      GIB,
      256 * KIB,
      "Log lines kept in memory for readers, per agent.",
    ),
    clientIdsMax: count(
      1,
      10_000_000,
      100_000,
      "Client message ids remembered, per partition. New ids are refused when full.",
    ),
    clientIdBytesMax: count(
      64 * KIB,
      GIB,
      32 * MIB,
      "Client message ids and their first replies, per partition.",
    ),
    dedupWindowMs: count(1000, 86_400_000, 120_000, "How long a client message id is remembered."),
    deadLettersMax: count(1, 1_000_000, 10_000, "Dead letters kept, per partition."),
    deadLetterBytesMax: count(MIB, GIB, 32 * MIB, "Dead letters kept, per partition."),
    outboxBytesMax: count(
      MIB,
      GIB,
      32 * MIB,
      "Messages of one partition to others that these have not committed yet.",
    ),
    residentActorsMax: count(
      1,
      10_000_000,
      16_000,
      "Actors with memory in the process; idle ones beyond it leave and come back by replay. Stay well below half of the system's vm.max_map_count.",
    ),
    askChainMax: count(1, 1000, 32, "Asks open within one another."),
    crashIntentsMax: count(
      1,
      100,
      3,
      "Crashes of the process while a message is tried before it becomes a dead letter.",
    ),
  })
  .prefault({});

const snapshotsSchema = z
  .strictObject({
    turnsMax: count(
      100,
      1_000_000_000,
      100_000,
      "Turns of a partition after which a checkpoint of it is taken.",
    ),
    logBytesMax: z
      .int()
      .min(64 * KIB)
      .max(1024 * GIB)
      .optional()
      .meta({
        description: "Bytes of a partition's log after which a checkpoint of it is taken.",
        defaultText:
          "67108864, or a quarter of the partition's share of storage.sizeBytesMax if that is less",
      }),
    intervalMs: count(
      100,
      86_400_000,
      60_000,
      "Time after which a checkpoint of a partition that has changed is taken.",
    ),
    idleMs: count(
      1000,
      86_400_000,
      300_000,
      "Time after which an actor without messages leaves memory. It comes back from its image.",
    ),
  })
  .prefault({});

const retentionSchema = z
  .strictObject({
    logMs: count(
      0,
      365 * DAY_MS,
      3_600_000,
      "How long the log keeps what a checkpoint made dispensable: traces, histories of state and resumed subscriptions reach back so far. Less when the log is nearly full.",
      RELOADABLE,
    ),
    logBytesMax: z
      .int()
      .min(0)
      .max(Number.MAX_SAFE_INTEGER)
      .optional()
      .meta({
        description: "Bytes of the log that are kept so. A start reads them.",
        ...RELOADABLE,
        defaultText: "536870912, or a quarter of storage.sizeBytesMax if that is less",
      }),
    agentLogFileBytesMax: count(
      0,
      GIB,
      512 * KIB,
      "Log lines of one agent on the disk, from where limits.agentLogBytesMax of them are there again after a restart. 0 keeps none; else from 131072.",
    ).refine((bytes) => bytes === 0 || bytes >= 128 * KIB, {
      error: "must be 0 or at least 131072",
    }),
    agentLogFilesBytesMax: count(
      MIB,
      1024 * GIB,
      256 * MIB,
      "Log lines of all agents on the disk. Beyond it those of the agent that has not logged for longest go.",
    ),
  })
  .prefault({});

/** The only list of keys: checks, defaults and docs/configuration.md come from it. */
export const configSchema = z.strictObject({
  node: z
    .strictObject({
      id: z
        .string()
        .regex(/^[a-z0-9-]{1,63}$/, "must be 1 to 63 of a-z, 0-9 and -")
        .optional()
        .meta({ description: "Name of this node.", defaultText: "the host name" }),
    })
    .prefault({}),
  api: z
    .strictObject({
      grpc: grpcListener.prefault({}),
      rest: restListener.prefault({}),
      http: listener(9090, "Port of metrics and health.").prefault({}),
      drainMs: count(
        0,
        600_000,
        2000,
        "How long calls under way may last when the node stops; streams end at once.",
        RELOADABLE,
      ),
    })
    .prefault({}),
  storage: z
    .strictObject({
      engine: z.enum(["embedded", "jetstream"]).default("embedded").meta({
        description:
          "What keeps messages and state: files of this node, or NATS JetStream, which lets NATS clients in as well.",
      }),
      directory: z.string().min(1).default(".caxton").meta({
        description: "Where everything durable lives. Relative to the working directory.",
      }),
      sizeBytesMax: count(
        16 * MIB,
        Number.MAX_SAFE_INTEGER,
        10 * GIB,
        "Disk space storage may take. At the bound new messages are refused.",
      ),
      nats: natsSchema,
    })
    .prefault({}),
  workers: z
    .strictObject({
      count: z.int().min(1).max(256).optional().meta({
        description: "Threads that run agents. At most partitions.count.",
        defaultText: "one per core",
      }),
    })
    .prefault({}),
  partitions: z
    .strictObject({
      count: count(1, 256, 16, "A power of two. Fixed when the data directory is created.").refine(
        (value) => (value & (value - 1)) === 0,
        { error: "must be a power of two" },
      ),
    })
    .prefault({}),
  limits: limitsSchema,
  snapshots: snapshotsSchema,
  retention: retentionSchema,
  log: z
    .strictObject({
      level: z
        .enum(["debug", "info", "warn", "error", "silent"])
        .default("info")
        .meta({ description: "Least level that is written.", ...RELOADABLE }),
      format: z
        .enum(["auto", "pretty", "json"])
        .default("auto")
        .meta({ description: "auto is pretty on a terminal and JSON elsewhere." }),
      slowTurnMs: count(
        0,
        60_000,
        100,
        "A turn that takes longer is named in the log; one of an agent in ten seconds. 0 names none.",
      ),
    })
    .prefault({}),
  tracing: z
    .strictObject({
      endpoint: z
        .string()
        .refine((text) => text === "" || isCollectorUrl(text), {
          error: "must be an http:// or https:// URL without user and password",
        })
        .default("")
        .meta({
          description:
            "OpenTelemetry collector that takes spans by OTLP over HTTP, below it at /v1/traces. Empty: nothing is traced. The variable OTEL_EXPORTER_OTLP_ENDPOINT sets it as well.",
        }),
      sampleRatio: z
        .number()
        .min(0)
        .max(1)
        .default(0.1)
        .meta({
          description:
            "Share of the requests without a traceparent that are traced; the others follow their traceparent's flag.",
          ...RELOADABLE,
        }),
    })
    .prefault({}),
  insecure: z.boolean().default(false).meta({
    description: "Allow listening beyond this machine although nothing authenticates callers.",
  }),
});

/** Node-wide limits by their configuration names. */
export type NodeLimits = Readonly<z.output<typeof limitsSchema>>;

/** When checkpoints are taken, and when actors leave memory. */
export interface SnapshotConfig {
  readonly turnsMax: number;
  readonly logBytesMax: number;
  readonly intervalMs: number;
  readonly idleMs: number;
}

/** What the log keeps though recovery does not need it. */
export interface RetentionConfig {
  readonly logMs: number;
  readonly logBytesMax: number;
}

/** What is kept of agents' log lines over a restart. */
export interface AgentLogConfig {
  readonly agentLogFileBytesMax: number;
  readonly agentLogFilesBytesMax: number;
}

export interface TracingConfig {
  readonly endpoint: string;
  readonly sampleRatio: number;
}

export interface StorageConfig {
  readonly engine: StorageEngine;
  readonly directory: string;
  readonly sizeBytesMax: number;
  readonly nats: NatsConfig;
}

export interface ListenerConfig {
  readonly host: string;
  readonly port: number;
}

export type RestConfig = Readonly<z.output<typeof restListener>>;

export type GrpcConfig = Readonly<z.output<typeof grpcListener>>;

export interface LogConfig {
  readonly level: "debug" | "info" | "warn" | "error" | "silent";
  readonly format: "auto" | "pretty" | "json";
  readonly slowTurnMs: number;
}

/** Compiled and frozen: every value present, paths absolute. */
export interface Config {
  readonly node: { readonly id: string };
  readonly api: {
    readonly grpc: GrpcConfig;
    readonly rest: RestConfig;
    readonly http: ListenerConfig;
    readonly drainMs: number;
  };
  readonly storage: StorageConfig;
  readonly workers: { readonly count: number };
  readonly partitions: { readonly count: number };
  readonly limits: NodeLimits;
  readonly snapshots: SnapshotConfig;
  readonly retention: RetentionConfig & AgentLogConfig;
  readonly log: LogConfig;
  readonly tracing: TracingConfig;
  readonly insecure: boolean;
}
