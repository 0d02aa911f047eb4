/** Connects to NATS servers that can carry a node: found, let in, new enough, with JetStream. */
import { setTimeout as delay } from "node:timers/promises";
import { connect, type ConnectionOptions, type NatsConnection } from "@nats-io/transport-node";
import { CaxtonError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { inboxPrefixOf } from "../../base/nats-subjects.ts";
import { connectFailure, isWithoutResponder } from "./connect-failure.ts";
import { ConnectionWatch, reconnectDelayMs } from "./connection-watch.ts";
import type { NatsLogin } from "./nats-login.ts";
import { isNewEnough, NATS_VERSION_MIN } from "./server-version.ts";

export interface NatsTarget {
  /** Name or URL each, at least one. */
  readonly servers: readonly string[];
  readonly login: NatsLogin;
  /** Of the connection, for whoever looks at the servers. */
  readonly name: string;
  /** Of storage.nats.cluster. */
  readonly cluster: string;
  /** How long servers that do not answer are waited for. */
  readonly firstConnectMs?: number;
}

export interface NatsObserver {
  away?(): void;
  /** `awayMs`: how long it was. */
  back?(awayMs: number): void;
  /** The connection ended and does not come back. */
  lost?(error: CaxtonError): void;
}

/** A connection that lasts until it is closed, however often the servers are away. */
export interface LastingConnection {
  readonly connection: NatsConnection;
  /** How long the servers have been away; undefined while they are there. */
  awayMs(): number | undefined;
  close(): Promise<void>;
}

const FIRST_CONNECT_MS = 10_000;
const DIAL_MS = 5000;
const RETRY_MS = 200;
const API_ANSWER_MS = 2000;
/** A server that hangs is noticed when a third ping finds two without an answer. */
const PING_MS = 2000;
const PINGS_UNANSWERED_MAX = 2;

/** Rejects with NATS_REFUSED, NATS_UNSUITABLE or, where nothing answers in time, STORAGE_UNAVAILABLE. */
export async function connectNats(
  target: NatsTarget,
  log: Logger,
  observer: NatsObserver = {},
): Promise<LastingConnection> {
  const ends = performance.now() + (target.firstConnectMs ?? FIRST_CONNECT_MS);
  for (;;) {
    try {
      return await connectOnce(target, log, observer);
    } catch (thrown) {
      const failure = connectFailure(thrown, target.servers, target.login.who);
      if (failure.code !== "STORAGE_UNAVAILABLE" || performance.now() + RETRY_MS > ends) {
        throw failure;
      }
      log.debug({ err: failure }, "NATS does not answer yet");
      await delay(RETRY_MS);
    }
  }
}

async function connectOnce(
  target: NatsTarget,
  log: Logger,
  observer: NatsObserver,
): Promise<LastingConnection> {
  const options = optionsOf(target);
  // One that may not reconnect says why it failed; one that may would try for ever.
  const trial = await connect({ ...options, reconnect: false });
  try {
    await checkServer(trial, target);
  } finally {
    await trial.close();
  }
  const clock: { watch?: ConnectionWatch } = {};
  const connection = await connect({
    ...options,
    maxReconnectAttempts: -1,
    // Credentials may be mended while the node runs.
    ignoreAuthErrorAbort: true,
    reconnectDelayHandler: () => reconnectDelayMs(clock.watch?.awayMs() ?? 0, Math.random()),
  });
  const watch = new ConnectionWatch(connection, log, observer);
  clock.watch = watch;
  return {
    connection,
    awayMs: () => watch.awayMs(),
    close: () => watch.close(),
  };
}

function optionsOf({ servers, login, name, cluster }: NatsTarget): ConnectionOptions {
  const { authenticator, tls } = login;
  return {
    servers: [...servers],
    name,
    // Answers to the node are not for clients, who may read all of _INBOX.
    inboxPrefix: inboxPrefixOf(cluster),
    timeout: DIAL_MS,
    pingInterval: PING_MS,
    maxPingOut: PINGS_UNANSWERED_MAX,
    noAsyncTraces: true,
    ...(authenticator !== undefined && { authenticator }),
    ...(tls !== undefined && { tls: { ...tls } }),
  };
}

async function checkServer(connection: NatsConnection, { login }: NatsTarget): Promise<void> {
  const { version, server_name: name } = connection.info!;
  const where = `${name} at ${connection.getServer()}`;
  if (!isNewEnough(version)) {
    const text = `nats-server ${where} is ${version}; ${NATS_VERSION_MIN} or newer is needed.`;
    throw new CaxtonError("NATS_UNSUITABLE", text);
  }
  await checkJetStream(connection, where, login.who);
}

interface ApiAnswer {
  readonly error?: { readonly err_code?: number; readonly description?: string };
}

/** Error codes of JetStream: off for the account, off altogether. */
const JETSTREAM_OFF: readonly (number | undefined)[] = [10_039, 10_076];

async function checkJetStream(
  connection: NatsConnection,
  where: string,
  who: string,
): Promise<void> {
  const off = (why: string): CaxtonError =>
    new CaxtonError("NATS_UNSUITABLE", `JetStream is off for ${who} on ${where}: ${why}.`);
  let answer: ApiAnswer;
  try {
    const options = { timeout: API_ANSWER_MS };
    answer = (await connection.request("$JS.API.INFO", "", options)).json<ApiAnswer>();
  } catch (error) {
    if (isWithoutResponder(error)) throw off("nothing answers its API");
    throw error;
  }
  if (answer.error === undefined) return;
  const { err_code: code, description = "no reason given" } = answer.error;
  if (JETSTREAM_OFF.includes(code)) throw off(description);
  throw new Error(`JetStream on ${where} says: ${description}`);
}
