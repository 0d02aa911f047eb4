/** What the benchmarks ask of a server, over the wire like any client. */
import { credentials, type ServiceError } from "@grpc/grpc-js";
import {
  type Actor,
  ActorServiceClient,
  type GetActorResponse,
  ListActorsRequest,
  type ListActorsResponse,
} from "../../src/gen/caxton/v1/actor.ts";
import { AgentServiceClient, type DeployAgentRequest } from "../../src/gen/caxton/v1/agent.ts";
import {
  type AskResponse,
  MessageServiceClient,
  OutgoingMessage,
} from "../../src/gen/caxton/v1/message.ts";
import {
  type GetStatusResponse,
  NodeServiceClient,
  type NodeStatus,
} from "../../src/gen/caxton/v1/node.ts";

export type AgentSource = NonNullable<DeployAgentRequest["source"]>;
type Callback<A> = (error: ServiceError | null, answer: A) => void;

const PAGE_ACTORS_MAX = 1000;

export class Wire {
  readonly #actors: ActorServiceClient;
  readonly #agents: AgentServiceClient;
  readonly #messages: MessageServiceClient;
  readonly #node: NodeServiceClient;

  constructor(endpoint: string) {
    const channel = [endpoint, credentials.createInsecure()] as const;
    this.#actors = new ActorServiceClient(...channel);
    this.#agents = new AgentServiceClient(...channel);
    this.#messages = new MessageServiceClient(...channel);
    this.#node = new NodeServiceClient(...channel);
  }

  async deploy(manifest: string, source: AgentSource): Promise<void> {
    const request = { manifest, source, resetMemory: false };
    await promised((done) => this.#agents.deployAgent(request, done));
  }

  /** With an `id` it may be tried again. */
  async send(receiver: string, content: Uint8Array, performative = "", id = ""): Promise<void> {
    const message = OutgoingMessage.create({ receiver, content, performative, id });
    await promised((done) => this.#messages.sendMessage({ message }, done));
  }

  /** Content of the reply. */
  async ask(receiver: string, content: Uint8Array, performative = ""): Promise<Uint8Array> {
    const message = OutgoingMessage.create({ receiver, content, performative });
    const request = { message, timeoutMs: 600_000 };
    const answer = await promised<AskResponse>((done) => this.#messages.ask(request, done));
    return answer.reply!.content;
  }

  async actor(address: string): Promise<Actor> {
    const answer = await promised<GetActorResponse>((done) =>
      this.#actors.getActor({ address }, done),
    );
    return answer.actor!;
  }

  async *actors(agent: string): AsyncGenerator<Actor> {
    const request = { namespace: "default", agent, pageSize: PAGE_ACTORS_MAX };
    let pageToken = "";
    do {
      const page = await promised<ListActorsResponse>((done) =>
        this.#actors.listActors(ListActorsRequest.create({ ...request, pageToken }), done),
      );
      yield* page.actors;
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }

  async status(): Promise<NodeStatus> {
    const answer = await promised<GetStatusResponse>((done) => this.#node.getStatus({}, done));
    return answer.status!;
  }

  close(): void {
    const clients = [this.#actors, this.#agents, this.#messages, this.#node];
    for (const client of clients) client.close();
  }
}

function promised<A>(call: (done: Callback<A>) => unknown): Promise<A> {
  return new Promise((resolve, reject) => {
    call((error, answer) => {
      if (error === null) resolve(answer);
      else reject(new Error(`${error.details} (status ${error.code})`));
    });
  });
}

/** Runs `work` for 0 to count - 1, at most `concurrency` at a time. */
export async function eachConcurrently(
  count: number,
  concurrency: number,
  work: (index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(count, concurrency) }, lane));
}
