/**
 * A plain NATS client and nothing of ours: messages published into the stream of sends until all are handled,
 * and requests to the NATS service. What was handled is counted by the server, and every reply compared.
 */
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { atOnce, inTurn } from "../harness/latency.ts";
import { percentile } from "../harness/percentile.ts";
import type { Report } from "../harness/report.ts";
import { deployRing, ringAddress } from "../harness/ring.ts";
import { ServerProcess } from "../harness/server-process.ts";
import { turnsDone, turnsOf } from "../harness/turns.ts";
import { Wire } from "../harness/wire.ts";
import type { NativeOptions } from "./options.ts";

const CONTENT = Buffer.alloc(256, 7);
const ACTORS = 1000;
const PUBLISHED_AT_ONCE = 1000;
const WARM_UP_ASKS = 500;
const ASKS = 2000;
const LANES = 64;
const ASK_TIMEOUT_MS = 10_000;

export async function native(options: NativeOptions): Promise<Pick<Report, "figures" | "ratios">> {
  const { directory, say, nats, messages } = options;
  if (nats.length === 0) throw new Error("NATS clients need --storage jetstream or jetstream-fast");
  const server = await ServerProcess.start(`${directory}/data`, ["workers.count=1"]);
  const wire = new Wire(server.endpoint);
  const client = await connect({ servers: nats.map(({ url }) => url) });
  try {
    await deployRing(wire, "c", "durable");
    const subjectOf = (kind: string, i: number): string =>
      `caxton.v1.${kind}.${ringAddress(i % ACTORS).replaceAll("/", ".")}`;
    say(`${messages} messages`);
    const before = await turnsOf(wire);
    const start = performance.now();
    const js = jetstream(client);
    let next = 0;
    const publish = async (): Promise<void> => {
      while (next < messages) await js.publish(subjectOf("send", next++), CONTENT);
    };
    await Promise.all(Array.from({ length: PUBLISHED_AT_ONCE }, publish));
    const publishedMs = performance.now() - start;
    await turnsDone(wire, before + messages);
    const handledMs = performance.now() - start;
    if ((await turnsOf(wire)) !== before + messages) throw new Error("more turns than messages");
    say("asks");
    let actor = 0;
    const ask = async (): Promise<void> => {
      const request = client.request(subjectOf("ask", actor++), CONTENT, {
        timeout: ASK_TIMEOUT_MS,
      });
      if (!CONTENT.equals((await request).data)) throw new Error("the reply is not what was asked");
    };
    await inTurn(WARM_UP_ASKS, ask);
    const asks = await inTurn(ASKS, ask);
    const many = await atOnce(
      options.seconds,
      Array.from({ length: LANES }, () => ask),
    );
    const figures = {
      messages,
      published_per_second: messages / (publishedMs / 1000),
      handled_per_second: messages / (handledMs / 1000),
      ask_p50_ms: percentile(asks, 0.5),
      ask_p99_ms: percentile(asks, 0.99),
      [`ask_p50_ms_at_${LANES}`]: percentile(many.samplesMs, 0.5),
      [`asks_per_second_at_${LANES}`]: many.perSecond,
    };
    return { figures, ratios: { handled_of_published: publishedMs / handledMs } };
  } finally {
    await client.close();
    wire.close();
    await server.kill();
  }
}
