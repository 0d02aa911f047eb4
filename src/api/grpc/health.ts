/** grpc.health.v1: the node's readiness for probes and load balancers that speak gRPC. */
import { type ServerWritableStream, status } from "@grpc/grpc-js";
import {
  type HealthCheckRequest,
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus as Serving,
  type HealthServer,
} from "../../gen/grpc/health/v1/health.ts";
import type { ReadinessProbe } from "../readiness.ts";
import type { OpenCall, OpenCalls } from "../open-calls.ts";

const WATCH_INTERVAL_MS = 1000;

/** `services` are the names that may be asked for; all share the node's readiness. */
export function healthService(
  readiness: ReadinessProbe,
  services: ReadonlySet<string>,
  openCalls: OpenCalls,
): HealthServer {
  const isKnown = (service: string): boolean => service === "" || services.has(service);
  const servingStatus = async (): Promise<Serving> =>
    (await readiness.read()).ready ? Serving.SERVING : Serving.NOT_SERVING;
  return {
    check: (call, callback) => {
      const { service } = call.request;
      if (!isKnown(service)) {
        callback({ code: status.NOT_FOUND, details: `There is no service "${service}".` });
        return;
      }
      void servingStatus().then((answer) => callback(null, { status: answer }));
    },
    watch: (stream) => {
      const open: OpenCall = { isStream: true, end: () => stream.end() };
      openCalls.add(open);
      stream.once("close", () => openCalls.remove(open));
      if (isKnown(stream.request.service)) watchStatus(stream, servingStatus);
      // By contract the watcher is told and kept, for a service that may appear later.
      else stream.write({ status: Serving.SERVICE_UNKNOWN });
    },
  };
}

function watchStatus(
  stream: ServerWritableStream<HealthCheckRequest, HealthCheckResponse>,
  servingStatus: () => Promise<Serving>,
): void {
  let last: Serving | undefined;
  const look = async (): Promise<void> => {
    const now = await servingStatus();
    if (now !== last && !stream.cancelled) stream.write({ status: now });
    last = now;
  };
  const timer = setInterval(() => void look(), WATCH_INTERVAL_MS);
  stream.once("close", () => clearInterval(timer));
  void look();
}
