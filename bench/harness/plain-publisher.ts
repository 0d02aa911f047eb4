/** A NATS publisher with nothing of ours, and the stream with three copies that it publishes into. */
import { jetstreamManager } from "@nats-io/jetstream";
import { connect, headers, type NatsConnection } from "@nats-io/transport-node";
import { SteadyLoad } from "./steady-load.ts";

export const PLAIN_STREAM = "BENCH_PLAIN";
const SUBJECT = "bench.plain";
const COPIES = 3;
const CONTENT = Buffer.alloc(256, 7);
const ANSWER_MS = 5000;

export async function makePlainStream(connection: NatsConnection): Promise<void> {
  const manager = await jetstreamManager(connection);
  const stream = { name: PLAIN_STREAM, subjects: [SUBJECT], num_replicas: COPIES };
  await manager.streams.add(stream);
}

export interface PlainPublisher {
  readonly load: SteadyLoad;
  /** Resolves with the number of messages when all are acknowledged. */
  end(): Promise<number>;
}

/** Connects to the first of the servers. `name` tells its messages from those of others. */
export async function startPlainPublisher(
  servers: string[],
  name: string,
  perSecond: number,
): Promise<PlainPublisher> {
  const connection = await connect({ servers, noRandomize: true, maxReconnectAttempts: -1 });
  const load = new SteadyLoad(perSecond, async (message) => {
    const all = headers();
    all.set("Nats-Msg-Id", `${name}-${message}`);
    const options = { headers: all, timeout: ANSWER_MS };
    const answer = (await connection.request(SUBJECT, CONTENT, options)).json<{ seq?: number }>();
    if (answer.seq === undefined) throw new Error("not stored");
  });
  const end = async (): Promise<number> => {
    try {
      return await load.end();
    } finally {
      await connection.close();
    }
  };
  return { load, end };
}
