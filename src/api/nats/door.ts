/** The way in for NATS clients that have nothing of ours: sends, asks, events. docs/nats.md says how to use it. */
import { createHash } from "node:crypto";
import {
  jetstream,
  type JetStreamClient,
  type JetStreamManager,
  jetstreamManager,
} from "@nats-io/jetstream";
import { type NatsConnection, nuid } from "@nats-io/transport-node";
import { CaxtonError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { type DoorSubjects, doorSubjectsOf } from "../../base/nats-subjects.ts";
import { systemScheduler } from "../../base/scheduler.ts";
import { Seldom } from "../../base/seldom.ts";
import { within } from "../../base/within.ts";
import type { ApiContext } from "../request.ts";
import { messageService, sendInput } from "../service/message-service.ts";
import { AskService, type AskServicePorts } from "./ask-service.ts";
import { renewReader } from "./consumers.ts";
import { DeadLetters } from "./dead-letters.ts";
import { publishEvent } from "./event-publisher.ts";
import { SendStreamDoor } from "./send-stream.ts";
import type { ReaderPorts } from "./stream-reader.ts";
import { setUpStreams, STREAM_SIZES, type StreamSizes } from "./streams.ts";
import { TopicIntake } from "./topic-intake.ts";
import { Topics } from "./topics.ts";

export interface NatsDoorOptions {
  /** Of a user who may do all; stays open when the door closes. */
  readonly connection: NatsConnection;
  readonly cluster: string;
  readonly partitions: number;
  /** Of the door's streams. */
  readonly replicas: number;
  readonly context: ApiContext;
  readonly log: Logger;
  readonly sizes?: Partial<StreamSizes>;
}

export interface NatsDoor {
  /** Takes nothing more and finishes what is under way. */
  stop(): Promise<void>;
}

/** As whom the door follows the events. */
export const EVENT_FOLLOWER = "nats";
const ASK_DRAIN_MS = 5000;
const FLUSH_MS = 1000;
const WARN_EVERY_MS = 10_000;
const PAYLOAD_BYTES_DEFAULT = 1024 * 1024;
/** A server that has just started may not hear the first one. */
const API_TIMEOUT_MS = 2000;
const USER_INFO_TIMEOUT_MS = 2000;

export async function startNatsDoor(options: NatsDoorOptions): Promise<NatsDoor> {
  const { connection, cluster, partitions, replicas, context, log } = options;
  const subjects = doorSubjectsOf(cluster);
  const jsm = await jetstreamManager(connection, { timeout: API_TIMEOUT_MS });
  const sizes = { ...STREAM_SIZES, ...options.sizes };
  await setUpStreams(jsm, { ...sizes, subjects, partitions, replicas });
  const client = `nats:${await accountOf(connection)}`;
  const js = jetstream(connection);
  const service = messageService(context);
  const deadLetters = new DeadLetters({ connection, jetstream: js, log });
  const warnings = new Seldom(WARN_EVERY_MS);
  const reader = readerPorts(options, js, warnings);
  const { kernel } = context;
  const topics = new Topics({
    deadLetters,
    log,
    warnings,
    client,
    streamIncarnation: await incarnationOf(jsm, subjects.topicStream),
    topics: () => kernel.agents.topics(),
    sendMessage: (request, call) => service.sendMessage(request, call),
  });
  const publishesTopic = topics.publishes.bind(topics);
  const stopEvents = kernel.events.follow(EVENT_FOLLOWER, {
    deliver: (event) => publishEvent({ connection, jetstream: js, log, publishesTopic }, event),
  });
  const sends = new SendStreamDoor({
    ...reader,
    jsm,
    subjects,
    partitions,
    deadLetters,
    client,
    stuckMs: sizes.sendStuckMs,
    openStream: (listener) => kernel.messages.openStream(listener),
    inputOf: (message) => sendInput(context, message, "inform"),
    messagesAccepted: (count) => {
      context.metrics.messageAccepted(count);
    },
  });
  const intakes = [sends, topicIntake(reader, jsm, subjects, topics)];
  for (const intake of intakes) intake.start();
  const ask: AskServicePorts["ask"] = (request, call) => service.ask(request, call);
  const asks = new AskService({ connection, api: context, cluster, client, ask }, nuid.next());
  void resetOnReconnect(connection, intakes);
  return {
    stop: async () => {
      await stopEvents();
      await Promise.all([asks.stop(ASK_DRAIN_MS), ...intakes.map((intake) => intake.stop())]);
      // What was written has left; without a server it never will.
      await within(
        FLUSH_MS,
        connection.flush().catch(() => undefined),
      );
    },
  };
}

function topicIntake(
  reader: ReaderPorts,
  jsm: JetStreamManager,
  { topicStream: stream }: DoorSubjects,
  topics: Topics,
): TopicIntake {
  return new TopicIntake({
    ...reader,
    stream,
    renew: (limits) => renewReader(jsm, stream, "topics", limits),
    send: (message) => topics.deliver(message),
  });
}

function readerPorts(
  { connection, context, log }: NatsDoorOptions,
  jetstream: JetStreamClient,
  warnings: Seldom,
): ReaderPorts {
  return {
    jetstream,
    log,
    warnings,
    ready: async () => {
      const { ready } = await context.kernel.node.status();
      if (!ready) throw new CaxtonError("NOT_READY");
    },
    payloadBytesMax: connection.info?.max_payload ?? PAYLOAD_BYTES_DEFAULT,
    scheduler: systemScheduler,
  };
}

/** What was on its way when the connection broke comes again, before what is newer. Ends with the connection. */
async function resetOnReconnect(
  connection: NatsConnection,
  intakes: readonly { reset(): void }[],
): Promise<void> {
  for await (const { type } of connection.status()) {
    if (type === "reconnect") for (const intake of intakes) intake.reset();
  }
}

/** Tells a stream from another one of the same name. */
async function incarnationOf(jsm: JetStreamManager, stream: string): Promise<string> {
  const { created } = await jsm.streams.info(stream);
  return createHash("sha256").update(`${stream} ${created}`).digest("hex").slice(0, 12);
}

/** Nobody is named by a message in a stream: what is known is the account that all have in common. */
async function accountOf(connection: NatsConnection): Promise<string> {
  try {
    const options = { timeout: USER_INFO_TIMEOUT_MS };
    const answer = await connection.request("$SYS.REQ.USER.INFO", "", options);
    const account = answer.json<{ data?: { account?: unknown } }>().data?.account;
    return typeof account === "string" && /^[^/\p{Cc}]{1,100}$/u.test(account)
      ? account
      : "unknown";
  } catch {
    return "unknown";
  }
}
