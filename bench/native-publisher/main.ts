/**
 * A plain NATS client that publishes to actors: main.ts SUBJECT_PREFIX ACTORS SERVER... Each line it reads says
 * "plain" or "acked", how many messages, and of how many bytes; it says the milliseconds until all are stored.
 */
import { createInterface } from "node:readline";
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { type Publish, publishAcked, publishPlain } from "./publish.ts";

const MODES: Readonly<Record<string, Publish>> = { plain: publishPlain, acked: publishAcked };

/** Of bench/agents. */
const STOP_MS_AT = 16;

const [prefix = "", actors = "", ...servers] = process.argv.slice(2);
const subjects = Array.from({ length: Number(actors) }, (_, actor) => `${prefix}.${actor}`);
const connection = await connect({ servers });
const client = jetstream(connection);
process.stdout.write("ready\n");
for await (const line of createInterface(process.stdin)) {
  const [mode = "", messages, bytes] = line.split(" ");
  const content = Buffer.alloc(Number(bytes));
  // Kept by whoever gets it: a ring without actors, which never stops.
  content.writeDoubleLE(Infinity, STOP_MS_AT);
  const start = performance.now();
  await MODES[mode]!({ connection, client, subjects, messages: Number(messages), content });
  process.stdout.write(`${performance.now() - start}\n`);
}
