/** Streams of several nats-servers: who leads them, and whether all copies are there. */
import { setTimeout as wait } from "node:timers/promises";
import { createInbox, type NatsConnection } from "@nats-io/transport-node";

const LOOK_MS = 50;
const ANSWER_MS = 500;
const GIVE_UP_MS = 60_000;
/** Between questions whether there is a leader. */
const PROBE_MS = 5;
/** No stream gets that far: its leader says that there is no such message. */
const NO_SEQUENCE = 2 ** 50;
const MESSAGE_NOT_FOUND = 10037;

interface ApiAnswer {
  readonly error?: { readonly err_code?: number };
}

interface StreamInfo extends ApiAnswer {
  readonly state?: { readonly messages: number; readonly last_seq: number };
  readonly cluster?: {
    readonly leader?: string;
    readonly replicas?: readonly { readonly current: boolean; readonly offline?: boolean }[];
  };
}

/** Undefined while nobody answers. */
async function ask<T>(
  connection: NatsConnection,
  api: string,
  request: object = {},
): Promise<T | undefined> {
  const options = { timeout: ANSWER_MS };
  try {
    const answer = await connection.request(`$JS.API.${api}`, JSON.stringify(request), options);
    return answer.json<T>();
  } catch {
    return undefined;
  }
}

const infoOf = (connection: NatsConnection, stream: string): Promise<StreamInfo | undefined> =>
  ask<StreamInfo>(connection, `STREAM.INFO.${stream}`);

async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  for (const giveUpAt = performance.now() + GIVE_UP_MS; performance.now() < giveUpAt;) {
    const found = await look();
    if (found !== undefined) return found;
    await wait(LOOK_MS);
  }
  throw new Error(`waited in vain until ${what}`);
}

export function messagesIn(connection: NatsConnection, stream: string): Promise<number> {
  return until(`${stream} is known`, async () => {
    return (await infoOf(connection, stream))?.state?.messages;
  });
}

/** Messages that it has ever stored. */
export function storedIn(connection: NatsConnection, stream: string): Promise<number> {
  return until(`${stream} is known`, async () => {
    return (await infoOf(connection, stream))?.state?.last_seq;
  });
}

/** The one that takes the subject. */
export function streamOf(connection: NatsConnection, subject: string): Promise<string> {
  return until(`a stream takes ${subject}`, async () => {
    return (await ask<{ streams?: string[] }>(connection, "STREAM.NAMES", { subject }))
      ?.streams?.[0];
  });
}

/** Moves the leader of the stream there, where it is elsewhere. */
export async function lead(connection: NatsConnection, stream: string, by: string): Promise<void> {
  await until(`${by} leads ${stream}`, async () => {
    const leader = (await infoOf(connection, stream))?.cluster?.leader;
    if (leader === by) return leader;
    if (leader === undefined) return undefined;
    const request = { placement: { preferred: by } };
    await ask(connection, `STREAM.LEADER.STEPDOWN.${stream}`, request);
    return undefined;
  });
}

/** Resolves when every stream has a leader and each of its copies is as far as that. */
export async function allCurrent(connection: NatsConnection): Promise<void> {
  await until("all copies of all streams are current", async () => {
    const { streams } = (await ask<{ streams?: string[] }>(connection, "STREAM.NAMES")) ?? {};
    const infos = await Promise.all((streams ?? []).map((name) => infoOf(connection, name)));
    const isCurrent = infos.every((info) => {
      const { leader, replicas = [] } = info?.cluster ?? {};
      const isWhole = replicas.every(({ current, offline = false }) => current && !offline);
      return leader !== undefined && isWhole;
    });
    return streams !== undefined && isCurrent ? true : undefined;
  });
}

/** Resolves when a leader of the stream answers. Asks all the time. */
export function leaderAnswers(connection: NatsConnection, stream: string): Promise<void> {
  const reply = createInbox();
  const request = JSON.stringify({ seq: NO_SEQUENCE });
  return new Promise((resolve, reject) => {
    const settle = (how: () => void): void => {
      clearInterval(probe);
      clearTimeout(late);
      subscription.unsubscribe();
      how();
    };
    const subscription = connection.subscribe(reply, {
      callback: (error, message) => {
        if (error !== null || message.data.length === 0) return;
        const number = message.json<ApiAnswer>().error?.err_code;
        if (number === MESSAGE_NOT_FOUND) settle(resolve);
      },
    });
    const probe = setInterval(() => {
      connection.publish(`$JS.API.STREAM.MSG.GET.${stream}`, request, { reply });
    }, PROBE_MS);
    const late = setTimeout(() => {
      settle(() => reject(new Error(`nobody leads ${stream}`)));
    }, GIVE_UP_MS);
  });
}
