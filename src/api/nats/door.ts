/** The way in for NATS clients that have nothing of ours: sends, asks, events. docs/nats.md says how to use it. */
import { createHash } from "node:crypto";
import { jetstream, type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { type NatsConnection, nuid } from "@nats-io/transport-node";
import type { Logger } from "../../base/log.ts";
import { systemScheduler } from "../../base/scheduler.ts";
import type { ApiContext } from "../request.ts";
import { messageService } from "../service/message-service.ts";
import { AskService } from "./ask-service.ts";
import { SendIntake } from "./send-intake.ts";
import { SentMessages } from "./sent-message.ts";
import { setUpStreams, STREAM_SIZES, type StreamSizes } from "./streams.ts";
import { type DoorSubjects, doorSubjectsOf } from "./subjects.ts";

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

/** Each takes in the partitions of its number, modulo this. */
const CONSUMERS_MAX = 16;
const ASK_DRAIN_MS = 5000;
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
  const service = messageService(context);
  const sent = new SentMessages({
    connection,
    jetstream: jetstream(connection),
    log,
    client,
    streamIncarnation: await incarnationOf(jsm, subjects),
    sendMessage: (request, call) => service.sendMessage(request, call),
  });
  const intakes = startIntakes(options, jsm, subjects, sent);
  const asks = new AskService(
    {
      connection,
      api: context,
      cluster,
      client,
      ask: (request, call) => service.ask(request, call),
    },
    nuid.next(),
  );
  const reconnects = resetOnReconnect(connection, intakes);
  return {
    stop: async () => {
      reconnects.stop();
      await Promise.all([asks.stop(ASK_DRAIN_MS), ...intakes.map((intake) => intake.stop())]);
      if (!connection.isClosed()) await connection.flush();
    },
  };
}

function startIntakes(
  { connection, partitions, log }: NatsDoorOptions,
  jsm: JetStreamManager,
  subjects: DoorSubjects,
  sent: SentMessages,
): SendIntake[] {
  const consumers = Math.min(CONSUMERS_MAX, partitions);
  const client = jetstream(connection);
  return Array.from({ length: consumers }, (_, i) => {
    const own = Array.from({ length: partitions / consumers }, (_, n) => n * consumers + i);
    const intake = new SendIntake({
      jsm,
      client,
      stream: subjects.sendStream,
      consumer: `intake-${i}`,
      filters: own.map((partition) => subjects.sentTo(partition)),
      payloadBytesMax: connection.info?.max_payload ?? PAYLOAD_BYTES_DEFAULT,
      scheduler: systemScheduler,
      log,
      send: (message) => sent.send(message),
    });
    intake.start();
    return intake;
  });
}

/** What was on its way when the connection broke comes again, before what is newer. */
function resetOnReconnect(
  connection: NatsConnection,
  intakes: readonly SendIntake[],
): { stop(): void } {
  const statuses = connection.status();
  void (async () => {
    for await (const { type } of statuses) {
      if (type === "reconnect") for (const intake of intakes) intake.reset();
    }
  })();
  return { stop: () => (statuses as unknown as { stop(): void }).stop() };
}

async function incarnationOf(jsm: JetStreamManager, { sendStream }: DoorSubjects): Promise<string> {
  const { created } = await jsm.streams.info(sendStream);
  return createHash("sha256").update(`${sendStream} ${created}`).digest("hex").slice(0, 12);
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
