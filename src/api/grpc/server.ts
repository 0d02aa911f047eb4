/** The gRPC listener. */
import { Server, ServerCredentials, type ServiceDefinition } from "@grpc/grpc-js";
import type { ListenerConfig, NodeLimits } from "../../base/config-schema.ts";
import { ActorServiceService } from "../../gen/caxton/v1/actor.ts";
import { AgentServiceService } from "../../gen/caxton/v1/agent.ts";
import { DeadLetterServiceService } from "../../gen/caxton/v1/dead_letter.ts";
import { MessageServiceService } from "../../gen/caxton/v1/message.ts";
import { NodeServiceService } from "../../gen/caxton/v1/node.ts";
import { StateServiceService } from "../../gen/caxton/v1/state.ts";
import { SupervisorServiceService } from "../../gen/caxton/v1/supervisor.ts";
import { HealthService } from "../../gen/grpc/health/v1/health.ts";
import { listenFailed } from "../listen.ts";
import type { ReadinessProbe } from "../readiness.ts";
import { actorService } from "./actor-service.ts";
import { agentService } from "./agent-service.ts";
import type { ApiContext } from "./call.ts";
import { deadLetterService } from "./dead-letter-service.ts";
import { healthService } from "./health.ts";
import { messageService } from "./message-service.ts";
import { nodeService, supervisorService } from "./node-service.ts";
import { OpenStreams } from "./open-streams.ts";
import { addReflection } from "./reflection.ts";
import { stateService } from "./state-service.ts";

/** Room for the manifest and envelope beside a module or content of the largest size. */
const ENVELOPE_BYTES = 1024 * 1024;
const STREAMS_PER_CONNECTION_MAX = 10_000;
const STOP_TIMEOUT_MS = 10_000;

export interface GrpcListener {
  readonly port: number;
  /** Lets calls finish for a while, then cuts them off. */
  stop(): Promise<void>;
}

export async function startGrpc(
  listener: ListenerConfig,
  api: ApiContext,
  readiness: ReadinessProbe,
): Promise<GrpcListener> {
  const server = new Server({
    "grpc.max_receive_message_length": receiveBytesMax(api.limits),
    "grpc.max_send_message_length": -1,
    "grpc.max_concurrent_streams": STREAMS_PER_CONNECTION_MAX,
  });
  const streams = new OpenStreams();
  addServices(server, api, readiness, streams);
  const port = await bind(server, listener);
  return { port, stop: () => stop(server, streams) };
}

function receiveBytesMax(limits: NodeLimits): number {
  return Math.max(limits.moduleBytesMax, limits.messageBytesMax) + ENVELOPE_BYTES;
}

function addServices(
  server: Server,
  api: ApiContext,
  readiness: ReadinessProbe,
  streams: OpenStreams,
): void {
  server.addService(AgentServiceService, agentService(api));
  server.addService(MessageServiceService, messageService(api, streams));
  server.addService(ActorServiceService, actorService(api));
  server.addService(StateServiceService, stateService(api));
  server.addService(DeadLetterServiceService, deadLetterService(api));
  server.addService(SupervisorServiceService, supervisorService(api));
  server.addService(NodeServiceService, nodeService(api));
  const services = new Set(
    [
      AgentServiceService,
      MessageServiceService,
      ActorServiceService,
      StateServiceService,
      DeadLetterServiceService,
      SupervisorServiceService,
      NodeServiceService,
    ].map(serviceName),
  );
  server.addService(HealthService, healthService(readiness, services, streams));
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

function stop(server: Server, streams: OpenStreams): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.forceShutdown(), STOP_TIMEOUT_MS);
    streams.endAll();
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
