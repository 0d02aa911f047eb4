/** A Caxton server as programs see it. */
import { randomUUID } from "node:crypto";
import { ActorServiceService } from "../../src/gen/caxton/v1/actor.ts";
import {
  AgentServiceService,
  type DeployAgentRequest,
  type DeployAgentResponse,
} from "../../src/gen/caxton/v1/agent.ts";
import { DeadLetterServiceService } from "../../src/gen/caxton/v1/dead_letter.ts";
import {
  type Message,
  MessageServiceService,
  OutgoingMessage,
  type SendMessageResponse,
  type SubscribeMessagesRequest,
  type SubscribeMessagesResponse,
} from "../../src/gen/caxton/v1/message.ts";
import { NodeServiceService } from "../../src/gen/caxton/v1/node.ts";
import { StateServiceService } from "../../src/gen/caxton/v1/state.ts";
import { SupervisorServiceService } from "../../src/gen/caxton/v1/supervisor.ts";
import { Channel, type EventStream } from "./channel.ts";
import { type Content, contentOf, encodeContent } from "./content.ts";
import { resuming } from "./resuming.ts";
import { type CallOptions, callsOf } from "./services.ts";

const TIMEOUT_MS = 30_000;
const ANSWER_GRACE_MS = 5000;
/** Compiling sources and the sandbox run take their time. */
const DEPLOY_TIMEOUT_MS = 120_000;

export interface ConnectOptions {
  /** host:port of the gRPC API. */
  readonly endpoint: string;
  /** Name of this program, shown as the sender of its messages. */
  readonly client?: string;
  /** Of a call with its repetitions, unless the call says otherwise: 30,000. */
  readonly timeoutMs?: number;
  /** Attempts of a call, the first included; no bound but the deadline unless given. */
  readonly attemptsMax?: number;
}

/** Fields of a message. `id` is made up unless given: keep it yourself to repeat a message later. */
export type SendOptions = CallOptions &
  Readonly<Partial<Omit<OutgoingMessage, "receiver" | "content">>>;

export interface Reply extends Content {
  /** Of the message that was sent. */
  readonly id: string;
  /** The id was accepted earlier, and this is the reply of then. */
  readonly duplicate: boolean;
  readonly message: Message;
}

export function connect(options: ConnectOptions): CaxtonClient {
  return new CaxtonClient(options);
}

export class CaxtonClient {
  readonly agents;
  readonly actors;
  readonly messages;
  readonly state;
  readonly deadLetters;
  readonly supervisor;
  readonly node;
  readonly #channel: Channel;
  readonly #client: string;

  constructor({
    endpoint,
    client = "",
    timeoutMs = TIMEOUT_MS,
    attemptsMax = Infinity,
  }: ConnectOptions) {
    const channel = new Channel({ endpoint, timeoutMs, attemptsMax });
    this.#channel = channel;
    this.#client = client;
    this.agents = callsOf(channel, AgentServiceService);
    this.actors = callsOf(channel, ActorServiceService);
    this.messages = callsOf(channel, MessageServiceService);
    this.state = callsOf(channel, StateServiceService);
    this.deadLetters = callsOf(channel, DeadLetterServiceService);
    this.supervisor = callsOf(channel, SupervisorServiceService);
    this.node = callsOf(channel, NodeServiceService);
  }

  /** Resolves when the message is durable. A string is sent as text, bytes as they are, the rest as JSON. */
  send(to: string, content: unknown, options: SendOptions = {}): Promise<SendMessageResponse> {
    const { timeoutMs = this.#channel.timeoutMs, ...fields } = options;
    const message = this.#outgoing(to, content, fields);
    return this.#channel.call(MessageServiceService.sendMessage, {
      timeoutMs,
      repeatable: true,
      request: () => ({ message }),
    });
  }

  /** Resolves with the reply. */
  async ask(to: string, content: unknown, options: SendOptions = {}): Promise<Reply> {
    const { timeoutMs = this.#channel.timeoutMs, ...fields } = options;
    const message = this.#outgoing(to, content, fields);
    const answer = await this.#channel.call(MessageServiceService.ask, {
      timeoutMs,
      graceMs: ANSWER_GRACE_MS,
      repeatable: true,
      request: (remainingMs) => ({ message, timeoutMs: Math.ceil(remainingMs) }),
    });
    const { id, duplicate } = answer;
    return Object.assign(contentOf(answer.reply!.content), {
      id,
      duplicate,
      message: answer.reply!,
    });
  }

  /**
   * Messages as they become durable, from now on or from a resume token. When the connection or the server is
   * lost, it goes on after the last message as soon as it is back.
   */
  subscribe(
    filter: Partial<SubscribeMessagesRequest> = {},
  ): EventStream<SubscribeMessagesResponse> {
    return resuming(this.#channel, this.messages.subscribeMessages, filter);
  }

  deploy(
    request: Partial<DeployAgentRequest>,
    { timeoutMs = DEPLOY_TIMEOUT_MS }: CallOptions = {},
  ): Promise<DeployAgentResponse> {
    return this.agents.deployAgent(request, { timeoutMs });
  }

  /** Calls under way fail. */
  close(): void {
    this.#channel.close();
  }

  #outgoing(receiver: string, content: unknown, fields: Partial<OutgoingMessage>): OutgoingMessage {
    const defaults = { id: randomUUID(), client: this.#client, ...encodeContent(content) };
    return OutgoingMessage.create({ ...defaults, ...fields, receiver });
  }
}
