/** The composition root: what a node is made of, in the order it starts and (reversed) stops. */
import { startKernel } from "./actors/index.ts";
import {
  ApiMetrics,
  type ApiContext,
  apiServices,
  ReadinessProbe,
  startGrpc,
  startHttp,
  startRest,
} from "./api/index.ts";
import type { LiveConfig } from "./base/live-config.ts";
import { Lifecycle } from "./base/lifecycle.ts";
import type { Logger } from "./base/log.ts";
import { RecentLog } from "./base/recent-log.ts";
import { faultPoint } from "./fault-point.ts";
import { openEmbeddedStorage } from "./storage/index.ts";

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
  const storage = await lifecycle.start(
    "storage",
    () =>
      openEmbeddedStorage({
        ...config.storage,
        ...fault,
        onFailed: (err) => log.fatal({ err }, "storage failed; nothing more is accepted"),
      }),
    (opened) => opened.close(),
  );
  if (!storage.opening.clean) log.warn(storage.opening, "the last stop was not clean");
  const kernel = await lifecycle.start(
    "kernel",
    () =>
      startKernel({
        storage,
        config,
        retention: () => live.current.retention,
        log,
        watcher: metrics,
        ...fault,
      }),
    (running) => running.stop(),
  );
  const api: ApiContext = { kernel, config: live, log, recentLog, metrics };
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
