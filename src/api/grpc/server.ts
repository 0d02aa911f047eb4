/** The gRPC listener. */
import {
  Server,
  ServerCredentials,
  type ServerOptions,
  type ServiceDefinition,
} from "@grpc/grpc-js";
import type { GrpcConfig, ListenerConfig, NodeLimits } from "../../base/config-schema.ts";
import { HealthService } from "../../gen/grpc/health/v1/health.ts";
import { listenFailed } from "../listen.ts";
import { OpenCalls } from "../open-calls.ts";
import type { ReadinessProbe } from "../readiness.ts";
import type { ApiContext } from "../request.ts";
import type { ApiService } from "../service/services.ts";
import { decodedByUs } from "./decode.ts";
import { type GrpcContext, handlersOf } from "./handlers.ts";
import { healthService } from "./health.ts";
import { addReflection } from "./reflection.ts";

/** Room for the manifest and envelope beside a module or content of the largest size. */
const ENVELOPE_BYTES = 1024 * 1024;
/** For readers to take their last answers when the node stops. */
const SLOW_READER_MS = 3000;

export interface GrpcListener {
  readonly port: number;
  /** Lets calls finish for a while, then answers them itself. */
  stop(): Promise<void>;
}

export async function startGrpc(
  listener: GrpcConfig,
  api: ApiContext,
  services: readonly ApiService[],
  readiness: ReadinessProbe,
): Promise<GrpcListener> {
  const server = new Server({
    "grpc.max_receive_message_length": receiveBytesMax(api.config.current.limits),
    "grpc.max_send_message_length": -1,
    "grpc.max_concurrent_streams": listener.streamsMax,
    ...connectionOptions(listener),
  });
  const openCalls = new OpenCalls();
  addServices(server, { ...api, openCalls }, services, readiness);
  const port = await bind(server, listener);
  return { port, stop: () => stop(server, openCalls, api.config.current.api.drainMs) };
}

/** Not both: a ping on a connection that has reached its age would end the calls under way on it. */
function connectionOptions(listener: GrpcConfig): ServerOptions {
  if (listener.connectionAgeMs === 0) {
    return {
      "grpc.keepalive_time_ms": listener.keepAliveMs,
      "grpc.keepalive_timeout_ms": listener.keepAliveTimeoutMs,
    };
  }
  return {
    "grpc.max_connection_age_ms": listener.connectionAgeMs,
    "grpc.max_connection_age_grace_ms": listener.connectionAgeGraceMs,
  };
}

function receiveBytesMax(limits: NodeLimits): number {
  return Math.max(limits.moduleBytesMax, limits.messageBytesMax) + ENVELOPE_BYTES;
}

function addServices(
  server: Server,
  api: GrpcContext,
  services: readonly ApiService[],
  readiness: ReadinessProbe,
): void {
  for (const service of services) {
    server.addService(decodedByUs(service.definition), handlersOf(api, service));
  }
  const names = new Set(services.map(({ definition }) => serviceName(definition)));
  server.addService(HealthService, healthService(readiness, names, api.openCalls));
  addReflection(server);
}

/** `/caxton.v1.NodeService/GetStatus` -> `caxton.v1.NodeService`. */
function serviceName(definition: ServiceDefinition): string {
  return Object.values(definition)[0]?.path.split("/")[1] ?? "";
}

function bind(server: Server, { host, port }: ListenerConfig): Promise<number> {
  const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(listenFailed("api.grpc.port", address, error));
    });
  });
}

/** Streams end at once, other calls get a while; what hangs on a slow reader is cut off. */
function stop(server: Server, openCalls: OpenCalls, drainMs: number): Promise<void> {
  return new Promise((resolve) => {
    const callOff = openCalls.drain(drainMs);
    const timer = setTimeout(() => server.forceShutdown(), drainMs + SLOW_READER_MS);
    server.tryShutdown(() => {
      callOff();
      clearTimeout(timer);
      resolve();
    });
  });
}
