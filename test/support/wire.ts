/** Calls over the wire as promises, with the failures' details decoded. */
import {
  type CallOptions,
  type ClientUnaryCall,
  credentials,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ActorServiceClient } from "../../src/gen/caxton/v1/actor.ts";
import { AgentServiceClient, type DeployAgentResponse } from "../../src/gen/caxton/v1/agent.ts";
import { DeadLetterServiceClient } from "../../src/gen/caxton/v1/dead_letter.ts";
import { ErrorDetail } from "../../src/gen/caxton/v1/error.ts";
import {
  type AskResponse,
  MessageServiceClient,
  OutgoingMessage,
  type SendMessageResponse,
} from "../../src/gen/caxton/v1/message.ts";
import { NodeServiceClient } from "../../src/gen/caxton/v1/node.ts";
import { StateServiceClient } from "../../src/gen/caxton/v1/state.ts";
import { SupervisorServiceClient } from "../../src/gen/caxton/v1/supervisor.ts";
import { HealthClient } from "../../src/gen/grpc/health/v1/health.ts";

type UnaryMethod<Q, A> = (
  request: Q,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, answer: A) => void,
) => ClientUnaryCall;

export class WireError extends Error {
  readonly status: number;
  readonly detail: ErrorDetail | undefined;

  constructor(error: ServiceError) {
    const [encoded] = error.metadata.get("caxton-error-bin");
    const detail = encoded instanceof Buffer ? ErrorDetail.decode(encoded) : undefined;
    const findings = (detail?.findings ?? []).map(({ at, message }) => `\n- ${at}: ${message}`);
    super(`${error.details}${findings.join("")}`);
    this.status = error.code;
    this.detail = detail;
  }
}

export class Wire {
  readonly agents;
  readonly messages;
  readonly actors;
  readonly state;
  readonly deadLetters;
  readonly supervisor;
  readonly node;
  readonly health;

  constructor(endpoint: string) {
    const channel = [endpoint, credentials.createInsecure()] as const;
    this.agents = new AgentServiceClient(...channel);
    this.messages = new MessageServiceClient(...channel);
    this.actors = new ActorServiceClient(...channel);
    this.state = new StateServiceClient(...channel);
    this.deadLetters = new DeadLetterServiceClient(...channel);
    this.supervisor = new SupervisorServiceClient(...channel);
    this.node = new NodeServiceClient(...channel);
    this.health = new HealthClient(...channel);
  }

  call<Q, A>(
    method: UnaryMethod<Q, A>,
    request: Q,
    options: { metadata?: Record<string, string>; timeoutMs?: number } = {},
  ): Promise<A> {
    const metadata = new Metadata();
    for (const [key, value] of Object.entries(options.metadata ?? {})) metadata.set(key, value);
    return new Promise((resolve, reject) => {
      const deadline = Date.now() + (options.timeoutMs ?? 30_000);
      method(request, metadata, { deadline }, (error, answer) => {
        if (error === null) resolve(answer);
        else reject(new WireError(error));
      });
    });
  }

  send(message: Partial<OutgoingMessage>): Promise<SendMessageResponse> {
    const { messages } = this;
    const request = { message: OutgoingMessage.create(message) };
    return this.call(messages.sendMessage.bind(messages), request);
  }

  ask(message: Partial<OutgoingMessage>, timeoutMs = 0): Promise<AskResponse> {
    const { messages } = this;
    const request = { message: OutgoingMessage.create(message), timeoutMs };
    return this.call(messages.ask.bind(messages), request);
  }

  async askText(receiver: string, text: string): Promise<string> {
    const { reply } = await this.ask({ receiver, contentType: "text/plain", content: bytes(text) });
    return Buffer.from(reply!.content).toString();
  }

  deploy(manifest: string, module: Uint8Array, resetMemory = false): Promise<DeployAgentResponse> {
    const { agents } = this;
    const source = { $case: "module" as const, value: module };
    return this.call(agents.deployAgent.bind(agents), { manifest, source, resetMemory });
  }

  deployTypeScript(
    manifest: string,
    files: Readonly<Record<string, string>>,
  ): Promise<DeployAgentResponse> {
    const { agents } = this;
    const value = { language: "typescript", files: { ...files } };
    const source = { $case: "bundle" as const, value };
    return this.call(agents.deployAgent.bind(agents), { manifest, source, resetMemory: false });
  }

  close(): void {
    const { agents, messages, actors, state, deadLetters, supervisor, node, health } = this;
    for (const client of [agents, messages, actors, state, deadLetters, supervisor, node, health]) {
      client.close();
    }
  }
}

/** What the call was refused with. */
export async function refusal(call: Promise<unknown>): Promise<WireError> {
  try {
    await call;
  } catch (error) {
    if (error instanceof WireError) return error;
    throw error;
  }
  throw new Error("the call was not refused");
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** The committed module of test/agents/fixtures/<name>. */
export function fixtureModule(name: string): Buffer {
  return readFileSync(fixturePath(name));
}

export function fixturePath(name: string): string {
  return join(import.meta.dirname, "../agents/fixtures", name, "agent.wasm");
}

export function manifest(name: string, spec = "{}"): string {
  return `apiVersion: caxton/v1\nkind: Agent\nmetadata: {name: ${name}}\nspec: ${spec}\n`;
}
