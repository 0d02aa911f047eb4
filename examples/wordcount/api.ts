/** Caxton's public gRPC API, as far as this example needs it. */
import { type CallOptions, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ActorServiceClient, ActorStatus } from "../../src/gen/caxton/v1/actor.ts";
import { AgentServiceClient } from "../../src/gen/caxton/v1/agent.ts";
import { MessageServiceClient, OutgoingMessage } from "../../src/gen/caxton/v1/message.ts";
import { NodeServiceClient } from "../../src/gen/caxton/v1/node.ts";
import { StateServiceClient } from "../../src/gen/caxton/v1/state.ts";

const CALL_TIMEOUT_MS = 60_000;
const PAGE_SIZE = 1000;

type UnaryMethod<Q, A> = (
  request: Q,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, answer: A) => void,
) => unknown;

export interface NodeFacts {
  /** Messages accepted and not handled. */
  readonly pending: number;
  /** Messages handled over the life of the data, before and after a crash. */
  readonly handled: number;
  /** Turns run again since the start to bring memory back. */
  readonly replayed: number;
  /** Messages that were waiting when the node took up its data. */
  readonly recovered: number;
  readonly deadLetters: number;
}

export class Api {
  readonly #agents: AgentServiceClient;
  readonly #messages: MessageServiceClient;
  readonly #actors: ActorServiceClient;
  readonly #state: StateServiceClient;
  readonly #node: NodeServiceClient;

  constructor(endpoint: string) {
    const channel = [endpoint, credentials.createInsecure()] as const;
    this.#agents = new AgentServiceClient(...channel);
    this.#messages = new MessageServiceClient(...channel);
    this.#actors = new ActorServiceClient(...channel);
    this.#state = new StateServiceClient(...channel);
    this.#node = new NodeServiceClient(...channel);
  }

  close(): void {
    const clients = [this.#agents, this.#messages, this.#actors, this.#state, this.#node];
    for (const client of clients) client.close();
  }

  /** `folder` holds agent.yaml, and beside the source in assembly/ the module made of it. */
  async deploy(folder: string): Promise<void> {
    const manifest = readFileSync(join(folder, "agent.yaml"), "utf8");
    const module = readFileSync(join(folder, "assembly/agent.wasm"));
    const source = { $case: "module" as const, value: module };
    const request = { manifest, source, resetMemory: false };
    await call(this.#agents.deployAgent.bind(this.#agents), request);
  }

  /** Resolves when the message is durable; repeats with the same id take effect once. */
  async send(receiver: string, id: string, text: string): Promise<void> {
    const content = Buffer.from(text);
    const fields = { receiver, id, content, contentType: "text/plain", client: "wordcount" };
    const message = OutgoingMessage.create(fields);
    await call(this.#messages.sendMessage.bind(this.#messages), { message });
  }

  async facts(): Promise<NodeFacts> {
    const { status: node } = await call(this.#node.getStatus.bind(this.#node), {});
    const facts = { pending: 0, handled: 0, replayed: 0, recovered: 0, deadLetters: 0 };
    for (const partition of node?.partitions ?? []) {
      facts.pending += partition.pendingMessages;
      facts.handled += partition.turns;
      facts.replayed += partition.turnsReplayed;
      facts.recovered += partition.recoveredPending;
      facts.deadLetters += partition.deadLetters;
    }
    return facts;
  }

  /** Addresses of all actors of an agent of the namespace `default`. */
  async *actors(agent: string): AsyncGenerator<string> {
    let pageToken = "";
    do {
      const filter = { namespace: "default", agent, status: ActorStatus.UNSPECIFIED };
      const request = { ...filter, pageSize: PAGE_SIZE, pageToken };
      const page = await call(this.#actors.listActors.bind(this.#actors), request);
      for (const { address } of page.actors) yield address;
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }

  /** The committed key-value state of an actor; empty when there is no such actor. */
  async state(address: string): Promise<Map<string, string>> {
    const request = { address, prefix: "", pageSize: PAGE_SIZE, pageToken: "" };
    try {
      const { entries } = await call(this.#state.listState.bind(this.#state), request);
      return new Map(entries.map(({ key, value }) => [key, Buffer.from(value).toString()]));
    } catch (error) {
      if ((error as ServiceError).code === status.NOT_FOUND) return new Map();
      throw error;
    }
  }
}

function call<Q, A>(method: UnaryMethod<Q, A>, request: Q): Promise<A> {
  return new Promise((resolve, reject) => {
    method(request, new Metadata(), { deadline: Date.now() + CALL_TIMEOUT_MS }, (error, answer) => {
      if (error === null) resolve(answer);
      else reject(error);
    });
  });
}
