/** The way in for NATS clients that have nothing of ours: sends, asks, events. docs/nats.md says how to use it. */
import { createHash } from "node:crypto";
import { jetstream, type JetStreamManager, jetstreamManager, type JsMsg } from "@nats-io/jetstream";
import { type NatsConnection, nuid } from "@nats-io/transport-node";
import type { Logger } from "../../base/log.ts";
import {
  addressOf,
  type DoorSubjects,
  doorSubjectsOf,
  sendSubjectOf,
} from "../../base/nats-subjects.ts";
import { systemScheduler } from "../../base/scheduler.ts";
import { Seldom } from "../../base/seldom.ts";
import type { ApiContext } from "../request.ts";
import { messageService } from "../service/message-service.ts";
import { AskService, type AskServicePorts } from "./ask-service.ts";
import { renewReader, renewWorker } from "./consumers.ts";
import { publishEvent } from "./event-publisher.ts";
import { SendIntake } from "./send-intake.ts";
import type { SendOutcome } from "./send-lanes.ts";
import { type Destination, type SentMessagePorts, SentMessages } from "./sent-message.ts";
import { setUpStreams, STREAM_SIZES, type StreamSizes } from "./streams.ts";
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
/** Each takes in the partitions of its number, modulo this. */
const CONSUMERS_MAX = 16;
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
  const sendMessage: SentMessagePorts["sendMessage"] = (request, call) =>
    service.sendMessage(request, call);
  const sent = new SentMessages({ connection, jetstream: js, log, client, sendMessage });
  const { kernel } = context;
  const topics = new Topics({
    sent,
    streamIncarnation: await incarnationOf(jsm, subjects.topicStream),
    topics: () => kernel.agents.topics(),
  });
  const publishesTopic = topics.publishes.bind(topics);
  const stopEvents = kernel.events.follow(EVENT_FOLLOWER, {
    deliver: (event) => publishEvent({ connection, jetstream: js, log, publishesTopic }, event),
  });
  const sendIncarnation = await incarnationOf(jsm, subjects.sendStream);
  const ports = intakePorts(options, new Seldom(WARN_EVERY_MS));
  const intakes = [
    ...sendIntakes(ports, jsm, subjects, partitions, (message) =>
      sent.send(message, destinationOf(message, sendIncarnation)),
    ),
    topicIntake(ports, jsm, subjects, topics),
  ];
  for (const intake of intakes) intake.start();
  const ask: AskServicePorts["ask"] = (request, call) => service.ask(request, call);
  const asks = new AskService({ connection, api: context, cluster, client, ask }, nuid.next());
  void resetOnReconnect(connection, intakes);
  return {
    stop: async () => {
      await stopEvents();
      await Promise.all([asks.stop(ASK_DRAIN_MS), ...intakes.map((intake) => intake.stop())]);
      await flushed(connection);
    },
  };
}

function destinationOf({ subject, seq }: JsMsg, streamIncarnation: string): Destination {
  return {
    receiver: addressOf(subject),
    subject: sendSubjectOf(subject),
    id: `nats-${streamIncarnation}-${seq}`,
  };
}

type IntakePorts = ReturnType<typeof intakePorts>;

function sendIntakes(
  ports: IntakePorts,
  jsm: JetStreamManager,
  { sendStream: stream, sentTo }: DoorSubjects,
  partitions: number,
  send: (message: JsMsg) => Promise<SendOutcome>,
): SendIntake[] {
  const consumers = Math.min(CONSUMERS_MAX, partitions);
  return Array.from({ length: consumers }, (_, i) => {
    const own = Array.from({ length: partitions / consumers }, (_, n) => n * consumers + i);
    const filters = own.map((partition) => sentTo(partition));
    const name = `intake-${i}`;
    return new SendIntake({
      ...ports,
      stream,
      name,
      renew: (limits) => renewWorker(jsm, stream, name, filters, limits),
      send,
    });
  });
}

function topicIntake(
  ports: IntakePorts,
  jsm: JetStreamManager,
  { topicStream: stream }: DoorSubjects,
  topics: Topics,
): SendIntake {
  const name = "topics";
  return new SendIntake({
    ...ports,
    stream,
    name,
    renew: (limits) => renewReader(jsm, stream, name, limits),
    send: (message) => topics.deliver(message),
  });
}

function intakePorts({ connection, context, log }: NatsDoorOptions, warnings: Seldom) {
  const { kernel } = context;
  return {
    warnings,
    isReady: async () => (await kernel.node.status()).ready,
    client: jetstream(connection),
    payloadBytesMax: connection.info?.max_payload ?? PAYLOAD_BYTES_DEFAULT,
    scheduler: systemScheduler,
    log,
  };
}

/** What was on its way when the connection broke comes again, before what is newer. Ends with the connection. */
async function resetOnReconnect(
  connection: NatsConnection,
  intakes: readonly SendIntake[],
): Promise<void> {
  for await (const { type } of connection.status()) {
    if (type === "reconnect") for (const intake of intakes) intake.reset();
  }
}

/** What was written has left; without a server it never will. */
async function flushed(connection: NatsConnection): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, FLUSH_MS)));
  await Promise.race([connection.flush().catch(() => undefined), late]);
  clearTimeout(timer);
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
