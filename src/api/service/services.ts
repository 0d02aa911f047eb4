/** All services of the API. Every way in offers these. */
import type { ServiceDefinition } from "@grpc/grpc-js";
import { ActorServiceService } from "../../gen/caxton/v1/actor.ts";
import { AgentServiceService } from "../../gen/caxton/v1/agent.ts";
import { DeadLetterServiceService } from "../../gen/caxton/v1/dead_letter.ts";
import { MessageServiceService } from "../../gen/caxton/v1/message.ts";
import { NodeServiceService } from "../../gen/caxton/v1/node.ts";
import { StateServiceService } from "../../gen/caxton/v1/state.ts";
import { SupervisorServiceService } from "../../gen/caxton/v1/supervisor.ts";
import type { ApiContext } from "../request.ts";
import { actorService } from "./actor-service.ts";
import { agentService } from "./agent-service.ts";
import { deadLetterService } from "./dead-letter-service.ts";
import { messageService } from "./message-service.ts";
import type { Methods } from "./method.ts";
import { nodeService, supervisorService } from "./node-service.ts";
import { stateService } from "./state-service.ts";

export interface ApiService {
  readonly definition: ServiceDefinition;
  /** By the names of the definition. */
  readonly methods: Readonly<Record<string, unknown>>;
}

export function apiServices(api: ApiContext): readonly ApiService[] {
  return [
    serviceOf(AgentServiceService, agentService(api)),
    serviceOf(MessageServiceService, messageService(api)),
    serviceOf(ActorServiceService, actorService(api)),
    serviceOf(StateServiceService, stateService(api)),
    serviceOf(DeadLetterServiceService, deadLetterService(api)),
    serviceOf(SupervisorServiceService, supervisorService(api)),
    serviceOf(NodeServiceService, nodeService(api)),
  ];
}

function serviceOf<D extends ServiceDefinition>(definition: D, methods: Methods<D>): ApiService {
  return { definition, methods };
}
