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
import type { ApiContext, CallContext } from "./call.ts";
import { deadLetterService } from "./dead-letter-service.ts";
import { healthService } from "./health.ts";
import { messageService } from "./message-service.ts";
import { nodeService, supervisorService } from "./node-service.ts";
import { OpenCalls } from "./open-calls.ts";
import { addReflection } from "./reflection.ts";
import { stateService } from "./state-service.ts";

/** Room for the manifest and envelope beside a module or content of the largest size. */
const ENVELOPE_BYTES = 1024 * 1024;
const STREAMS_PER_CONNECTION_MAX = 10_000;
/** Enough for a commit and a handler; askers may wait much longer for their replies. */
const DRAIN_MS = 2000;
const STOP_TIMEOUT_MS = 5000;

export interface GrpcListener {
  readonly port: number;
  /** Lets calls finish for a while, then answers them itself. */
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
  const openCalls = new OpenCalls();
  addServices(server, { ...api, openCalls }, readiness);
  const port = await bind(server, listener);
  return { port, stop: () => stop(server, openCalls) };
}

function receiveBytesMax(limits: NodeLimits): number {
  return Math.max(limits.moduleBytesMax, limits.messageBytesMax) + ENVELOPE_BYTES;
}

function addServices(server: Server, api: CallContext, readiness: ReadinessProbe): void {
  server.addService(AgentServiceService, agentService(api));
  server.addService(MessageServiceService, messageService(api));
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
  server.addService(HealthService, healthService(readiness, services, api.openCalls));
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
function stop(server: Server, openCalls: OpenCalls): Promise<void> {
  return new Promise((resolve) => {
    const timers = [
      setTimeout(() => openCalls.endAll(), DRAIN_MS),
      setTimeout(() => server.forceShutdown(), STOP_TIMEOUT_MS),
    ];
    openCalls.endStreams();
    server.tryShutdown(() => {
      timers.forEach(clearTimeout);
      resolve();
    });
  });
}
