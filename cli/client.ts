/** The wire: clients of every service on one channel, and calls as promises. */
import {
  type CallOptions,
  type ClientUnaryCall,
  credentials,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { ActorServiceClient } from "../src/gen/caxton/v1/actor.ts";
import { AgentServiceClient } from "../src/gen/caxton/v1/agent.ts";
import { DeadLetterServiceClient } from "../src/gen/caxton/v1/dead_letter.ts";
import { MessageServiceClient } from "../src/gen/caxton/v1/message.ts";
import { NodeServiceClient } from "../src/gen/caxton/v1/node.ts";
import { StateServiceClient } from "../src/gen/caxton/v1/state.ts";
import { SupervisorServiceClient } from "../src/gen/caxton/v1/supervisor.ts";
import { CallError } from "./failure.ts";

const CALL_TIMEOUT_MS = 60_000;

type UnaryMethod<Q, A> = (
  request: Q,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, answer: A) => void,
) => ClientUnaryCall;

export class ApiClient {
  readonly endpoint: string;

  constructor(endpoint: string) {
    this.endpoint = endpoint;
  }

  agents() {
    return new AgentServiceClient(...this.#channel());
  }

  messages() {
    return new MessageServiceClient(...this.#channel());
  }

  actors() {
    return new ActorServiceClient(...this.#channel());
  }

  state() {
    return new StateServiceClient(...this.#channel());
  }

  deadLetters() {
    return new DeadLetterServiceClient(...this.#channel());
  }

  supervisor() {
    return new SupervisorServiceClient(...this.#channel());
  }

  node() {
    return new NodeServiceClient(...this.#channel());
  }

  /** `method` is a bound method of one of the clients. */
  call<Q, A>(method: UnaryMethod<Q, A>, request: Q, timeoutMs = CALL_TIMEOUT_MS): Promise<A> {
    return new Promise((resolve, reject) => {
      const options = { deadline: Date.now() + timeoutMs };
      method(request, new Metadata(), options, (error, answer) => {
        if (error === null) resolve(answer);
        else reject(new CallError(error, this.endpoint));
      });
    });
  }

  /** Equal arguments share one connection. */
  #channel() {
    const options = { "grpc.max_receive_message_length": -1 };
    return [this.endpoint, credentials.createInsecure(), options] as const;
  }
}
