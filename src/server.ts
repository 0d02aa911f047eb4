/** The composition root: what a node is made of, in the order it starts and (reversed) stops. */
import { startKernel } from "./actors/index.ts";
import {
  ApiMetrics,
  type ApiContext,
  apiServices,
  EVENT_FOLLOWER,
  ReadinessProbe,
  startGrpc,
  startHttp,
  startNatsDoor,
  startRest,
} from "./api/index.ts";
import type { LiveConfig } from "./base/live-config.ts";
import type { Config } from "./base/config-schema.ts";
import { Lifecycle } from "./base/lifecycle.ts";
import type { Logger } from "./base/log.ts";
import { RecentLog } from "./base/recent-log.ts";
import { SpanExporter } from "./base/span-exporter.ts";
import { faultPoint } from "./fault-point.ts";
import { type OpenedNats, type OpenedStorage, openStorage } from "./storage/index.ts";

export interface RunningServer {
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly restPort: number;
  /** Stops taking work, finishes what is in flight, releases everything. */
  stop(): Promise<void>;
}

export async function startServer(
  live: LiveConfig,
  log: Logger,
  /** The newest lines of `log`, where they are kept. */
  recentLog = new RecentLog(),
): Promise<RunningServer> {
  const config = live.current;
  live.onChange(({ log: { level } }) => (log.level = level));
  const lifecycle = new Lifecycle(log);
  const readiness = new ReadinessProbe();
  const metrics = new ApiMetrics();
  const fault = faultPoint(process.env);
  const http = await lifecycle.start(
    "health and metrics",
    () => startHttp(config.api.http, metrics, readiness),
    async (listener) => {
      await listener.stop();
      metrics.close();
    },
  );
  const { storage, away, nats } = await startStorage(config, log, lifecycle);
  const spans = await startTracing(config, log, metrics, lifecycle);
  if (!storage.opening.clean) log.warn(storage.opening, "the last stop was not clean");
  const kernel = await lifecycle.start(
    "kernel",
    () =>
      startKernel({
        storage,
        away,
        config,
        retention: () => live.current.retention,
        log,
        watcher: metrics,
        awaitedFollower: nats === undefined ? undefined : EVENT_FOLLOWER,
        spans,
        ...fault,
      }),
    (running) => running.stop(),
  );
  const api: ApiContext = { kernel, config: live, log, recentLog, metrics, spans };
  const services = apiServices(api);
  const grpc = await lifecycle.start(
    "grpc",
    () => startGrpc(config.api.grpc, api, services, readiness),
    (listener) => listener.stop(),
  );
  const rest = await lifecycle.start(
    "rest",
    () => startRest(config.api.rest, api, services),
    (listener) => listener.stop(),
  );
  if (nats !== undefined) await startNats(nats, api, lifecycle);
  readiness.serving(kernel);
  return {
    grpcPort: grpc.port,
    httpPort: http.port,
    restPort: rest.port,
    stop: () => {
      readiness.stopping();
      return lifecycle.stop();
    },
  };
}

function startStorage(config: Config, log: Logger, lifecycle: Lifecycle): Promise<OpenedStorage> {
  return lifecycle.start(
    "storage",
    () =>
      openStorage({
        config,
        log,
        env: process.env,
        ...faultPoint(process.env),
        onFailed: (err) => log.fatal({ err }, "storage failed; nothing more is accepted"),
      }),
    (opened) => opened.close(),
  );
}

/** NATS clients come in where storage is NATS. */
async function startNats(
  { connection }: OpenedNats,
  context: ApiContext,
  lifecycle: Lifecycle,
): Promise<void> {
  const { partitions, storage } = context.config.current;
  const { cluster, replicas } = storage.nats;
  const { log } = context;
  await lifecycle.start(
    "nats",
    () =>
      startNatsDoor({ connection, cluster, replicas, partitions: partitions.count, context, log }),
    (door) => door.stop(),
  );
}

/** Undefined when nothing is to be traced. */
async function startTracing(
  { tracing: { endpoint }, node: { id: nodeId } }: Config,
  log: Logger,
  metrics: ApiMetrics,
  lifecycle: Lifecycle,
): Promise<SpanExporter | undefined> {
  if (endpoint === "") return undefined;
  const counted: ApiMetrics["spansCounted"] = (outcome, spans) => {
    metrics.spansCounted(outcome, spans);
  };
  return lifecycle.start(
    "tracing",
    () => new SpanExporter({ endpoint, nodeId, log, counted }),
    (exporter) => exporter.stop(),
  );
}
